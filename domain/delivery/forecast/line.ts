import { chooseRoute, type RouteChoice, type Way, type Ways } from '../../senders';
import type { RouteStates } from './route-states';
import type { ForecastRow, HoldReason } from './types';

/** A stream in the course of a forecast: closed while its window is, or its source does not send. */
export interface StreamCourse {
  id: string;
  laneId: string;
  isOwn: boolean;
  closedUntil: number;
  closedBy: HoldReason | null;
}

export interface WaitingRow {
  row: ForecastRow;
  /** Its place among rows that are due at the same moment. */
  place: number;
  notBefore: number;
  /** Messages of it that are left. */
  left: number;
  /** What put it off. */
  reason: HoldReason | null;
}

/** Rows of one stream and mailbox-provider group that routing treats alike, in the order in which they are due. */
export class Line {
  private readonly rows: WaitingRow[] = [];
  private head = 0;
  private choice: { version: number; choice: RouteChoice } | null = null;

  constructor(
    readonly stream: StreamCourse,
    readonly mxGroup: string,
    readonly ways: Ways,
    /** Any of its rows: what is chosen for one is chosen for all. */
    private readonly first: ForecastRow,
  ) {}

  /**
   * @param weight messages that it stands for
   * @param place among rows that are due at the same moment
   */
  add(row: ForecastRow, weight: number, place: number): void {
    this.rows.push({ row, place, notBefore: row.notBefore, left: weight, reason: null });
  }

  /** To be called when all rows are there. */
  sort(): void {
    this.rows.sort(byTurn);
  }

  /** The next row, due or not. */
  get next(): WaitingRow | null {
    return this.rows[this.head] ?? null;
  }

  get waiting(): readonly WaitingRow[] {
    return this.rows.slice(this.head);
  }

  /** Messages that wait. */
  get messages(): number {
    let sum = 0;
    for (let at = this.head; at < this.rows.length; at += 1) sum += this.rows[at]?.left ?? 0;
    return sum;
  }

  isDue(at: number): boolean {
    const next = this.next;
    return next !== null && next.notBefore <= at;
  }

  /** The next row is done with. */
  drop(): void {
    this.head += 1;
  }

  /** The next row is put off until a moment. */
  putOff(until: number, reason: HoldReason): void {
    const row = this.next;
    if (!row) return;
    this.rows.splice(this.head, 1);
    let at = this.head;
    while (at < this.rows.length && (this.rows[at]?.notBefore ?? 0) <= until) at += 1;
    this.rows.splice(at, 0, { ...row, notBefore: until, reason });
  }

  /** The way its rows take now, or what closes all of them. */
  route(states: RouteStates, at: number): Way | Extract<RouteChoice, { kind: 'none' }>['cause'] {
    if (this.choice?.version !== states.version) {
      const recipient = { deliveryId: this.first.deliveryId, mxGroup: this.first.routingGroup };
      const choice = chooseRoute(states.candidates(this.ways, at), recipient, this.ways.policy, at);
      this.choice = { version: states.version, choice };
    }
    const { choice } = this.choice;
    if (choice.kind === 'none') return choice.cause;
    return this.ways.ways[choice.position] ?? 'NO_SENDER';
  }
}

/** The order in which rows are read: those that were due first, else by their places. */
export function byTurn(
  a: Pick<WaitingRow, 'notBefore' | 'place'> | null,
  b: Pick<WaitingRow, 'notBefore' | 'place'> | null,
): number {
  return (a?.notBefore ?? 0) - (b?.notBefore ?? 0) || (a?.place ?? 0) - (b?.place ?? 0);
}
