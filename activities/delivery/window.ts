/** Share of the window that only urgent lanes (opt-in, transactional) may use. */
const URGENT_SHARE = 8;

interface Waiter {
  wanted: number;
  urgent: boolean;
  resolve: (places: number) => void;
}

/**
 * W: how many rows of this process may be SENDING and unsettled, the bound on what a kill can leave unknown. Lanes
 * that wait for places get them in turn, a group at a time; an eighth is kept for urgent lanes, so that bulk cannot
 * hold up a password mail.
 */
export class Window {
  private open = 0;
  private waiters: Waiter[] = [];

  /** `urgentFirst` false (benches only): everybody waits in the order of asking. */
  constructor(
    readonly size: number,
    private readonly urgentFirst = true,
  ) {}

  /** Waits for its turn and takes 1 to `wanted` places; a small remainder is left to grow to half a group. */
  take(wanted: number, urgent: boolean): Promise<number> {
    return new Promise((resolve) => {
      this.waiters.push({ wanted, urgent: urgent && this.urgentFirst, resolve });
      this.serve();
    });
  }

  /** Gives places back and serves who waits. */
  give(places: number): void {
    this.open -= places;
    this.serve();
  }

  get used(): number {
    return this.open;
  }

  private free(urgent: boolean): number {
    const kept = urgent || !this.urgentFirst ? 0 : Math.floor(this.size / URGENT_SHARE);
    return Math.max(0, this.size - kept - this.open);
  }

  /** Urgent ones first, then in the order of asking; a large request is not overtaken by a small one. */
  private serve(): void {
    for (const urgent of [true, false]) {
      for (;;) {
        const next = this.waiters.find((waiter) => waiter.urgent === urgent);
        if (!next) break;
        const enough = Math.min(Math.ceil(next.wanted / 2), Math.ceil(this.size / 2));
        const places = Math.min(next.wanted, this.free(urgent));
        if (places < enough) break;
        this.open += places;
        this.waiters = this.waiters.filter((waiter) => waiter !== next);
        next.resolve(places);
      }
    }
  }
}
