import type { Way } from '../../senders';
import { localDate, wallAt } from '../../shared/zones';
import type { VerdictReason } from '../verdict';
import type { Line } from './line';
import { keyOfWay } from './route-states';
import type { Forecast, ForecastHold, ForecastPart, HoldReason } from './types';

const HOUR = 3_600_000;

/** What a forecast comes to, written down while it goes on. */
export class Account {
  private readonly parts = new Map<string, ForecastPart>();
  private readonly refused = new Map<VerdictReason, number>();
  private readonly holds = new Map<string, ForecastHold>();
  private readonly waiting = new Map<HoldReason | 'PACE', number>();
  private readonly held = new Map<Line, { reason: HoldReason; from: number; messages: number }>();
  private hour = { at: Number.NaN, date: '', hour: 0 };

  constructor(
    private readonly zone: string,
    private readonly partBy: 'hour' | 'day',
  ) {}

  sent(mxGroup: string, way: Way, messages: number, firstAt: number, lastAt: number): void {
    const { date, hour } = this.hourOf(firstAt);
    const label = this.partBy === 'hour' ? hour : null;
    const key = `${date} ${label} ${mxGroup} ${keyOfWay(way)}`;
    const part = this.parts.get(key);
    if (part) {
      part.messages += messages;
      part.lastAt = Math.max(part.lastAt, lastAt);
      return;
    }
    const { fromEmail } = way;
    const ipId = way.ip?.id ?? null;
    const { providerId } = way.sender;
    this.parts.set(key, {
      ...{ date, hour: label, mxGroup, providerId, fromEmail, ipId },
      ...{ messages, firstAt, lastAt },
    });
  }

  refuse(reason: VerdictReason, messages: number): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + messages);
  }

  wait(reason: HoldReason | 'PACE', messages: number): void {
    this.waiting.set(reason, (this.waiting.get(reason) ?? 0) + messages);
  }

  /** What holds the due rows of a line now; null = nothing does. */
  hold(line: Line, reason: HoldReason | null, at: number): void {
    const known = this.held.get(line);
    if (known?.reason === reason) return;
    if (known) this.endHold(line, at);
    if (reason !== null) this.held.set(line, { reason, from: at, messages: line.messages });
  }

  close(others: number): Forecast {
    for (const line of [...this.held.keys()]) this.endHold(line, null);
    const parts = [...this.parts.values()].sort((a, b) => a.firstAt - b.firstAt || (a.mxGroup < b.mxGroup ? -1 : 1));
    const holds = [...this.holds.values()].sort((a, b) => a.from - b.from);
    return { parts, refused: this.refused, holds, waiting: this.waiting, others };
  }

  private endHold(line: Line, to: number | null): void {
    const known = this.held.get(line);
    this.held.delete(line);
    if (!known || known.from === to) return;
    const { reason, from, messages } = known;
    const key = `${reason} ${from} ${to}`;
    const hold = this.holds.get(key) ?? { reason, from, to, mxGroups: [], messages: 0 };
    hold.messages += messages;
    if (!hold.mxGroups.includes(line.mxGroup)) hold.mxGroups.push(line.mxGroup);
    this.holds.set(key, hold);
  }

  /** Offsets of zones change at whole quarters of an hour, so a quarter has one date and hour. */
  private hourOf(at: number): { date: string; hour: number } {
    const quarter = Math.floor(at / (HOUR / 4));
    if (this.hour.at !== quarter) {
      const hour = new Date(wallAt(this.zone, at)).getUTCHours();
      this.hour = { at: quarter, date: localDate(this.zone, new Date(at)), hour };
    }
    return this.hour;
  }
}
