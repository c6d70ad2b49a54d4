/** A message that waits this much longer for its answer than the quickest did is no sign of a queue yet. */
const TOLERANCE_MS = 25;

/**
 * How many messages one connection has under way: as many as the way to the server and back holds, and no queue in
 * front of it, where an urgent message would wait behind them. Told by the time to the answer, which grows once there
 * is a queue (as TCP Vegas does it, Brakmo and Peterson 1995). Pure: times are passed in.
 */
export class Depth {
  /** The first message of a connection goes alone: a server that answers nothing harms no more than one. */
  private current = 1;
  private quickest = Number.POSITIVE_INFINITY;
  /** Doubles until the first sign of a queue, then takes single steps. */
  private doubling = true;

  constructor(private readonly limit: number) {}

  get value(): number {
    return this.current;
  }

  /**
   * A message was answered.
   * @param milliseconds from the write to the answer
   * @param filled it took the last place when it was written: there may be more to send than there are places
   */
  answered(milliseconds: number, filled: boolean): void {
    this.quickest = Math.min(this.quickest, milliseconds);
    if (milliseconds > 2 * this.quickest + TOLERANCE_MS) {
      this.doubling = false;
      this.current = Math.max(1, this.current - 1);
    } else if (filled) {
      this.current = Math.min(this.limit, this.doubling ? this.current * 2 : this.current + 1);
    }
  }
}
