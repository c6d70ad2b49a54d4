import type { Ways } from '../../senders';
import type { OpenBreaker } from '../breaker';
import type { Facts } from '../facts';
import type { Throttle } from '../throttle';
import type { VerdictReason } from '../verdict';

/** A message that waits, or that a campaign would make. Times are milliseconds since 1970 on the rules' clock. */
export interface ForecastRow {
  /** What is hashed where routes are dealt out; of a message that does not exist yet, a stand-in. */
  deliveryId: string;
  streamId: string;
  /** Its mailbox-provider group in the ledger; by it messages are read ahead and throttled. */
  mxGroup: string;
  /** Its group as routing sees it: a hosted domain belongs to the provider that its MX records name. */
  routingGroup: string;
  ways: Ways;
  facts: Facts;
  notBefore: number;
  /** Messages it stands for: more than one in a sample. */
  weight: number;
}

/** A stream whose messages go out; the forecast tells of its own, the others take their places before and beside it. */
export interface ForecastStream {
  id: string;
  laneId: string;
  isOwn: boolean;
}

/** A breaker that is not closed, and when it is probed. */
export interface ForecastBreaker extends OpenBreaker {
  providerId: string;
  until: number;
}

/** Everything that decides when messages go. Nothing of it is changed. */
export interface ForecastInput {
  now: number;
  /** End of the forecast. */
  until: number;
  /** The workspace's zone: days of capacity, and dates of the parts. */
  zone: string;
  partBy: 'hour' | 'day';
  streams: readonly ForecastStream[];
  rows: readonly ForecastRow[];
  /** Units taken so far, by `capacityKey`. */
  used: ReadonlyMap<string, number>;
  /** Next free slot of paced providers. */
  nextSlotAt: ReadonlyMap<string, number>;
  breakers: readonly ForecastBreaker[];
  /** By `${routeKey} ${mxGroup}`. */
  throttles: ReadonlyMap<string, Throttle>;
  /** Messages a second of a sender: its limit, else what the installation is taken to do. */
  speedOf: (providerId: string) => number;
  /** Most messages of one claim. */
  groupSize: number;
  /** Mailbox-provider groups in the order in which they are read ahead. */
  groups: readonly string[];
}

/** Messages of one mailbox-provider group that leave by one route on one local day, or within one hour of it. */
export interface ForecastPart {
  date: string;
  hour: number | null;
  mxGroup: string;
  providerId: string;
  fromEmail: string;
  ipId: string | null;
  messages: number;
  firstAt: number;
  lastAt: number;
}

/** Why messages that are due are not sent. */
export type HoldReason = VerdictReason | 'BREAKER_OPEN' | 'CAPACITY' | 'NO_SENDER' | 'MISALIGNED' | 'THROTTLED';

/** A time in which messages were due and something held them. `to` null = until the forecast's end. */
export interface ForecastHold {
  reason: HoldReason;
  from: number;
  to: number | null;
  mxGroups: string[];
  messages: number;
}

export interface Forecast {
  parts: ForecastPart[];
  /** Messages that a check would fail or cancel, by its reason. */
  refused: Map<VerdictReason, number>;
  holds: ForecastHold[];
  /** Messages that are left at the end; `PACE` = nothing holds them, there are too many before them. */
  waiting: Map<HoldReason | 'PACE', number>;
  /** Messages of other streams that were reckoned with. */
  others: number;
}
