/** Deals turns out so that all who want one at the same time get equally much, whatever each takes at once. */
export class Turns<Who> {
  private readonly taken = new Map<Who, { amount: number; round: number }>();
  private round = 0;
  /** What the last one to have a turn had taken before. */
  private level = 0;

  /** Whose turn it is among those who want one; who did not want the last one makes nothing up. */
  next(wanting: Iterable<Who>): Who | null {
    this.round += 1;
    let first: Who | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const who of wanting) {
      const known = this.taken.get(who);
      const wasHere = known?.round === this.round - 1;
      const amount = wasHere ? known.amount : Math.max(known?.amount ?? 0, this.level);
      this.taken.set(who, { amount, round: this.round });
      if (amount < least) {
        least = amount;
        first = who;
      }
    }
    if (first !== null) this.level = least;
    return first;
  }

  took(who: Who, amount: number): void {
    const known = this.taken.get(who);
    if (known) known.amount += amount;
  }
}
