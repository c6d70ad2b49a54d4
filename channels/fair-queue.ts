/**
 * A queue in which callers take turns: one item of each lane, then the next of each. So a campaign of a million does
 * not stand in front of one opt-in mail.
 */
export class FairQueue<Item> {
  /** Lanes that hold something, in the order of their turns; the next one is at `turn`. */
  private readonly ring: Lane<Item>[] = [];
  private readonly lanes = new Map<string, Lane<Item>>();
  private turn = 0;
  private count = 0;

  get size(): number {
    return this.count;
  }

  push(lane: string, item: Item): void {
    let entry = this.lanes.get(lane);
    if (entry === undefined) {
      entry = { key: lane, items: [], head: 0 };
      this.lanes.set(lane, entry);
      // Behind all that wait, which is right before the next turn: else a lane of one item at a time would come again
      // and again before the others.
      this.ring.splice(this.turn, 0, entry);
      this.turn++;
    }
    entry.items.push(item);
    this.count++;
  }

  shift(): Item | undefined {
    if (this.count === 0) {
      return undefined;
    }
    if (this.turn >= this.ring.length) {
      this.turn = 0;
    }
    const lane = this.ring[this.turn] as Lane<Item>;
    const item = lane.items[lane.head] as Item;
    lane.head++;
    this.count--;
    if (lane.head === lane.items.length) {
      // The next lane moves into this place, so the turn stays where it is.
      this.ring.splice(this.turn, 1);
      this.lanes.delete(lane.key);
    } else {
      if (lane.head > 1024) {
        lane.items.splice(0, lane.head);
        lane.head = 0;
      }
      this.turn++;
    }
    return item;
  }

  /** Takes out what matches; the rest keeps its order and its turns. */
  remove(matches: (item: Item) => boolean): Item[] {
    const removed: Item[] = [];
    const kept: [string, Item][] = [];
    for (const lane of [...this.ring.slice(this.turn), ...this.ring.slice(0, this.turn)]) {
      for (const item of lane.items.slice(lane.head)) {
        if (matches(item)) {
          removed.push(item);
        } else {
          kept.push([lane.key, item]);
        }
      }
    }
    if (removed.length > 0) {
      this.drain();
      for (const [lane, item] of kept) {
        this.push(lane, item);
      }
      this.turn = 0;
    }
    return removed;
  }

  /** Takes everything, in turn. */
  drain(): Item[] {
    const all: Item[] = [];
    for (let item = this.shift(); item !== undefined; item = this.shift()) {
      all.push(item);
    }
    return all;
  }
}

interface Lane<Item> {
  key: string;
  items: Item[];
  head: number;
}
