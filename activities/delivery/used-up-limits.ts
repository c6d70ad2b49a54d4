import { limitsWithRoom } from '../../db/delivery/capacity';
import type { CapacityLimit, CapacityUnit } from '../../domain/delivery';
import type { Database } from '../../platform/postgres';

/** How long what is used up is left alone at most, whatever is seen of it. */
const LONGEST_MS = 60_000;

interface UsedUp {
  workspaceId: string;
  limit: CapacityLimit;
  until: number;
}

/** Limits that this process has found used up, so that it does not ask for units of them. Times are monotonic. */
export class UsedUpLimits {
  private readonly known = new Map<string, UsedUp>();

  constructor(private readonly db: Database) {}

  /** A claim got nothing of a limit, which begins anew in so many milliseconds. */
  note(workspaceId: string, limit: CapacityLimit, beginsAnewInMs: number): void {
    const until = performance.now() + Math.min(beginsAnewInMs, LONGEST_MS);
    this.known.set(keyOf(limit), { workspaceId, limit, until });
  }

  /** Until when a way with these limits takes nothing; 0 = it does. */
  until(limits: readonly CapacityLimit[]): number {
    return Math.max(0, ...limits.map((limit) => this.known.get(keyOf(limit))?.until ?? 0));
  }

  /** Units came back: limits of theirs may be asked again. False: none of them was used up. */
  reopen(units: readonly CapacityUnit[]): boolean {
    let some = false;
    for (const [key, { limit }] of this.known) {
      if (!units.some(({ kind, resource }) => kind === limit.kind && resource === limit.resourceId)) continue;
      this.known.delete(key);
      some = true;
    }
    return some;
  }

  /** Units also come back elsewhere: in other processes, by the watchdog, by hand, and as hours leave a rolling day. */
  async lookAgain(workspaceId: string): Promise<void> {
    const now = performance.now();
    const limits: CapacityLimit[] = [];
    for (const [key, usedUp] of this.known) {
      if (usedUp.until <= now) this.known.delete(key);
      else if (usedUp.workspaceId === workspaceId) limits.push(usedUp.limit);
    }
    if (limits.length === 0) return;
    for (const limit of await limitsWithRoom(this.db, workspaceId, limits)) this.known.delete(keyOf(limit));
  }
}

/** A limit as it is now: one that was raised is another. */
function keyOf({ kind, resourceId, limit }: CapacityLimit): string {
  return `${kind} ${resourceId} ${limit}`;
}
