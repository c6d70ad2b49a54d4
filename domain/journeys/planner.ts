import { type OpenInterval, openingsBetween, type SendWindow } from '../campaigns';
import { localDate, nextLocalMidnight } from '../shared/zones';

/**
 * The planner of sequence mail (spec 002, "Nightly Scheduler Service"): which mail leaves which mailbox when, on one
 * day. Pure: it knows nothing but what it is given, so the same input gives the same plan, and what was planned before
 * is given back to it as taken.
 */

/** A mailbox as it stands on the day that is planned. */
export interface PlannedMailbox {
  readonly id: string;
  /** Mails a day. */
  readonly quota: number;
  /** Units that are not free any more: mails of this day that were sent, or are planned. */
  readonly taken: number;
  /** Slots that are taken: no other mail comes closer to one than the stagger. */
  readonly slots: readonly Date[];
  /** Its own window, in the place of the demand's; null = the demand's. */
  readonly window: SendWindow | null;
}

/** One mail that is wanted: the next step of an enrolment. */
export interface Demand {
  readonly enrolmentId: string;
  readonly contactId: string;
  readonly enrolledAt: Date;
  /** Not before this: the wait of the step is over, and it is not in the past. */
  readonly earliest: Date;
  /** When mail may go, in the zone that counts for this contact. */
  readonly window: SendWindow;
  /** The contact's zone: its days count for "one mail a day". */
  readonly zone: string;
  /** The mailbox of the enrolment; null = it has none yet, and gets one of `mailboxIds`. */
  readonly mailboxId: string | null;
  readonly mailboxIds: readonly string[];
  /** True: the contact may get several sequence mails a day. */
  readonly severalPerDay: boolean;
  /** Sequence mails of this contact that were sent or are planned around this day. */
  readonly contactSlots: readonly Date[];
  /** True: the first mail of a sequence, which goes at once if it can; it keeps a minute's distance, not the stagger. */
  readonly immediate: boolean;
}

export interface Slot {
  readonly enrolmentId: string;
  readonly mailboxId: string;
  readonly at: Date;
  /** When the window that the slot lies in closes: after it, the slot is missed. */
  readonly until: Date;
}

/** Why a demand got no slot on this day. */
export type NoSlotReason = 'NO_MAILBOX' | 'NO_QUOTA' | 'OUTSIDE_SEND_WINDOW' | 'ONE_PER_DAY';

export interface DayPlan {
  readonly slots: Slot[];
  readonly unplanned: { readonly enrolmentId: string; readonly reason: NoSlotReason }[];
}

/** Nobody's mailbox sends two mails closer than this because of an immediate first step. */
const IMMEDIATE_GAP = 60_000;

interface MailboxState {
  readonly id: string;
  readonly quota: number;
  /** Openings of its own window on this day; null = the demand's count. */
  readonly openings: readonly OpenInterval[] | null;
  left: number;
  /** Milliseconds, ascending. */
  readonly slots: number[];
  /** Per opening and gap: no free slot lies before. Slots are only ever added, so this never moves back. */
  readonly freeFrom: Map<string, number>;
}

interface OpenStretch {
  readonly from: number;
  readonly to: number;
  /** Full length of the opening that it is a part of: what the quota is spread over. */
  readonly length: number;
}

/**
 * Plans the day [from, to): older enrolments first. A mailbox's mails are spread evenly over the window: with a quota
 * of q in a window of length L, they are L/q apart, beginning where the window opens. A contact without a mailbox gets
 * the one that can send first, among equals the one with the most quota left.
 */
export function planDay(
  day: { readonly from: Date; readonly to: Date },
  mailboxes: readonly PlannedMailbox[],
  demands: readonly Demand[],
): DayPlan {
  const states = new Map(mailboxes.map((mailbox) => [mailbox.id, stateOf(mailbox, day)]));
  const plannedFor = new Map<string, Date[]>();
  const plan: DayPlan = { slots: [], unplanned: [] };
  for (const demand of [...demands].sort(byAge)) {
    const ofContact = [...demand.contactSlots, ...(plannedFor.get(demand.contactId) ?? [])];
    const found = slotFor(day, states, demand, ofContact);
    if (typeof found === 'string') {
      plan.unplanned.push({ enrolmentId: demand.enrolmentId, reason: found });
      continue;
    }
    take(found.mailbox, found.at);
    const at = new Date(found.at);
    plan.slots.push({ enrolmentId: demand.enrolmentId, mailboxId: found.mailbox.id, at, until: new Date(found.until) });
    plannedFor.set(demand.contactId, [...(plannedFor.get(demand.contactId) ?? []), at]);
  }
  return plan;
}

interface Found {
  mailbox: MailboxState;
  at: number;
  until: number;
}

function slotFor(
  day: { readonly from: Date; readonly to: Date },
  states: Map<string, MailboxState>,
  demand: Demand,
  ofContact: readonly Date[],
): Found | NoSlotReason {
  const allowed = demand.mailboxId === null ? demand.mailboxIds : [demand.mailboxId];
  const mailboxes = allowed.flatMap((id) => states.get(id) ?? []);
  if (mailboxes.length === 0) return 'NO_MAILBOX';
  const withQuota = mailboxes.filter((mailbox) => mailbox.left > 0);
  if (withQuota.length === 0) return 'NO_QUOTA';
  let best: Found | null = null;
  let nearest: NoSlotReason = 'OUTSIDE_SEND_WINDOW';
  let shared: FreeStretches | null = null;
  for (const mailbox of withQuota) {
    // All mailboxes without a window of their own share one look at the demand's.
    if (mailbox.openings === null) shared ??= freeStretches(day, demand, null, ofContact);
    const free = mailbox.openings === null ? shared : freeStretches(day, demand, mailbox.openings, ofContact);
    if (free === null || typeof free === 'string') {
      if (free === 'ONE_PER_DAY' && nearest === 'OUTSIDE_SEND_WINDOW') nearest = free;
      continue;
    }
    const found = earliestIn(free, mailbox, demand);
    if (found && isBetter(found, best)) best = found;
    // All that is left of the window is closer to other mails than the stagger allows: the quota does not fit any more.
    nearest = 'NO_QUOTA';
  }
  return best ?? nearest;
}

type FreeStretches = OpenStretch[] | 'OUTSIDE_SEND_WINDOW' | 'ONE_PER_DAY';

/** Where a mail of the demand may lie, in the given openings or else in those of its own window. */
function freeStretches(
  day: { readonly from: Date; readonly to: Date },
  demand: Demand,
  openings: readonly OpenInterval[] | null,
  ofContact: readonly Date[],
): FreeStretches {
  const open = openStretches(day, demand, openings);
  if (open.length === 0) return 'OUTSIDE_SEND_WINDOW';
  const free = demand.severalPerDay ? open : withoutDatesOf(open, demand.zone, ofContact);
  return free.length === 0 ? 'ONE_PER_DAY' : free;
}

function isBetter(found: Found, best: Found | null): boolean {
  if (best === null || found.at !== best.at) return best === null || found.at < best.at;
  if (found.mailbox.left !== best.mailbox.left) return found.mailbox.left > best.mailbox.left;
  return found.mailbox.id < best.mailbox.id;
}

/** The parts of the window's openings that lie in the day and not before the demand's earliest moment. */
function openStretches(
  day: { readonly from: Date; readonly to: Date },
  demand: Demand,
  openings: readonly OpenInterval[] | null,
): OpenStretch[] {
  const begin = Math.max(day.from.getTime(), demand.earliest.getTime());
  if (begin >= day.to.getTime()) return [];
  const stretches = (openings ?? openingsBetween(demand.window, new Date(begin), day.to)).map(({ opens, closes }) => ({
    from: Math.max(begin, opens.getTime()),
    to: Math.min(day.to.getTime(), closes.getTime()),
    length: closes.getTime() - opens.getTime(),
  }));
  return stretches.filter(({ from, to }) => from < to);
}

/** Cuts out the contact's local dates that have a mail already. */
function withoutDatesOf(open: readonly OpenStretch[], zone: string, ofContact: readonly Date[]): OpenStretch[] {
  if (ofContact.length === 0) return [...open];
  const taken = new Set(ofContact.map((at) => localDate(zone, at)));
  return open.flatMap((stretch) => {
    const left: OpenStretch[] = [];
    for (let at = stretch.from; at < stretch.to; ) {
      const end = Math.min(stretch.to, nextLocalMidnight(zone, new Date(at)).getTime());
      if (!taken.has(localDate(zone, new Date(at)))) left.push({ ...stretch, from: at, to: end });
      at = end;
    }
    return left;
  });
}

function earliestIn(stretches: readonly OpenStretch[], mailbox: MailboxState, demand: Demand): Found | null {
  for (const { from, to, length } of stretches) {
    const stagger = Math.floor(length / mailbox.quota);
    const gap = demand.immediate ? Math.min(stagger, IMMEDIATE_GAP) : stagger;
    const key = `${from} ${gap}`;
    const at = firstFree(mailbox.slots, mailbox.freeFrom.get(key) ?? from, gap);
    mailbox.freeFrom.set(key, at);
    if (at < to) return { mailbox, at, until: to };
  }
  return null;
}

/** The first moment from `at` on that is at least `gap` away from every slot. */
function firstFree(slots: readonly number[], at: number, gap: number): number {
  let candidate = at;
  for (let next = indexOfLast(slots, at - gap) + 1; next < slots.length; next += 1) {
    const slot = slots[next] ?? 0;
    if (slot >= candidate + gap) break;
    if (slot > candidate - gap) candidate = slot + gap;
  }
  return candidate;
}

/** Position of the last slot at or before a moment; -1 if there is none. */
function indexOfLast(slots: readonly number[], moment: number): number {
  let low = 0;
  let high = slots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((slots[middle] ?? 0) <= moment) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function take(mailbox: MailboxState, at: number): void {
  mailbox.left -= 1;
  mailbox.slots.splice(indexOfLast(mailbox.slots, at) + 1, 0, at);
}

function stateOf(mailbox: PlannedMailbox, day: { readonly from: Date; readonly to: Date }): MailboxState {
  return {
    id: mailbox.id,
    quota: mailbox.quota,
    openings: mailbox.window && openingsBetween(mailbox.window, day.from, day.to),
    left: Math.max(0, mailbox.quota - mailbox.taken),
    slots: mailbox.slots.map((slot) => slot.getTime()).sort((a, b) => a - b),
    freeFrom: new Map(),
  };
}

function byAge(a: Demand, b: Demand): number {
  return a.enrolledAt.getTime() - b.enrolledAt.getTime() || (a.enrolmentId < b.enrolmentId ? -1 : 1);
}
