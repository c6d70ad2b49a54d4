/** Rows that one drain reads ahead, and the fewest of a pair of stream and mailbox-provider group. */
export const READ_AHEAD = 1_024;
export const LEAST_PER_PAIR = 32;
/** How long a drain lives, about: the next one begins with the first group again. */
const DRAIN_MS = 30_000;
/** A drain that found nothing for so long ends. */
const LINGER_MS = 2_000;

/** The order in which one drain sees the groups of a stream: a page of each, and again. */
export class Pages {
  private begunAt = Number.NEGATIVE_INFINITY;
  private lastAt = Number.NEGATIVE_INFINITY;
  private isFirst = true;
  private group: string | null = null;
  private left = 0;

  /**
   * The group that the next rows are of, among those that have some.
   * @param groups all groups in the order in which they are read
   * @param share rows of a pair at a drain's first look
   */
  next(groups: readonly string[], waiting: ReadonlySet<string>, share: number, at: number): string | null {
    if (at - this.begunAt >= DRAIN_MS || at - this.lastAt >= LINGER_MS) {
      this.begunAt = at;
      this.isFirst = true;
      this.group = null;
    }
    this.lastAt = at;
    if (this.group !== null && this.left > 0 && waiting.has(this.group)) return this.group;
    const from = this.group === null ? -1 : groups.indexOf(this.group);
    const after = groups.findIndex((group, position) => position > from && waiting.has(group));
    if (after === -1) this.isFirst = this.isFirst && this.group === null;
    const found = after === -1 ? groups.find((group) => waiting.has(group)) : groups[after];
    if (found === undefined) return null;
    this.group = found;
    this.left = this.isFirst ? share : Math.max(LEAST_PER_PAIR, Math.ceil(READ_AHEAD / waiting.size));
    return found;
  }

  took(messages: number): void {
    this.left -= messages;
  }
}
