/** How long a look at the database's clock counts. */
const MEMORY_MS = 60_000;

interface Look {
  at: number;
  offsetMs: number;
}

/**
 * Where the database's clock stands on the process's own monotonic one. An answer arrives late by the way and by
 * whatever the event loop did meanwhile, never early, so the smallest difference of the last minute is the truest. Slots
 * that several processes take in turn are then kept apart as the database gave them, however busy each of them is.
 */
export class DatabaseClock {
  private looks: Look[] = [];

  /** An answer that was made at `databaseMs` (milliseconds since 1970) has arrived at `receivedAt` (monotonic). */
  observe(databaseMs: number, receivedAt: number): void {
    const look = { at: receivedAt, offsetMs: receivedAt - databaseMs };
    // A larger difference that is also older will never be the smallest again.
    this.looks = this.looks.filter((known) => known.offsetMs < look.offsetMs && known.at > receivedAt - MEMORY_MS);
    this.looks.push(look);
  }

  /** A moment of the database's clock on the monotonic one; at least one look must have been taken. */
  local(databaseMs: number): number {
    const [smallest] = this.looks;
    if (!smallest) throw new Error('the database clock was never looked at');
    return databaseMs + smallest.offsetMs;
  }
}
