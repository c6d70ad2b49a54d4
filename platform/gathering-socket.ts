import { Socket } from 'node:net';

/**
 * A socket whose writes of one turn of the event loop leave together. A pipelined transaction hands over BEGIN and its
 * first statement, and later its last statement and COMMIT, one right after the other: as one packet each pair wakes the
 * server once instead of twice, and waking another process is what a small write costs most.
 */
export class GatheringSocket extends Socket {
  private gathering = false;

  constructor() {
    super();
    // Connecting sets `write` to Socket's own.
    this.once('connect', () => {
      this.write = GatheringSocket.prototype.write;
    });
  }

  override cork(): void {
    this.gather();
    super.cork();
  }

  // As Socket declares it: with or without an encoding before the callback.
  override write(chunk: Uint8Array | string, callback?: (error?: Error | null) => void): boolean;
  override write(
    chunk: Uint8Array | string,
    encoding?: BufferEncoding,
    callback?: (error?: Error | null) => void,
  ): boolean;
  override write(
    chunk: Uint8Array | string,
    second?: BufferEncoding | ((error?: Error | null) => void),
    third?: (error?: Error | null) => void,
  ): boolean {
    this.gather();
    return typeof second === 'string' ? super.write(chunk, second, third) : super.write(chunk, second ?? third);
  }

  /** Holds what is written until everything that is ready now has had its turn. */
  private gather(): void {
    if (this.gathering) return;
    this.gathering = true;
    super.cork();
    process.nextTick(() => {
      this.gathering = false;
      super.uncork();
    });
  }
}
