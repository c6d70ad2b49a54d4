import { localDate } from '../shared/zones';
import { type Demand, type NoSlotReason, type PlannedMailbox, planDay } from './planner';
import { dueAfter, localDay } from './waiting';

/** An enrolment as it stands, or as it would. */
export interface ForecastEnrolment extends Omit<Demand, 'earliest' | 'immediate'> {
  readonly sequenceId: string;
  /** Steps that have been planned; the next one is `stepNumber + 1`. */
  readonly stepNumber: number;
  /** From when on the next step may go; where a mail is planned, null. */
  readonly dueAt: Date | null;
  /** Slot of the mail that is planned. */
  readonly plannedAt: Date | null;
  /** Wait days of all steps of its sequence, in order. */
  readonly waits: readonly number[];
}

export interface ForecastMail {
  readonly enrolmentId: string;
  readonly sequenceId: string;
  readonly stepNumber: number;
  readonly mailboxId: string;
  readonly at: Date;
  /** The workspace's local date. */
  readonly date: string;
}

export interface Forecast {
  readonly mails: ForecastMail[];
  /** Enrolments whose next step had no slot when the forecast ended, and what kept it on the last day. */
  readonly waiting: { readonly enrolmentId: string; readonly sequenceId: string; readonly reason: NoSlotReason }[];
}

interface Walker {
  readonly enrolment: ForecastEnrolment;
  stepNumber: number;
  mailboxId: string | null;
  dueAt: Date | null;
  readonly contactSlots: Date[];
}

/**
 * Walks the coming days with the planner itself, as if every mail were accepted at its slot: when each step of each
 * enrolment will go, given windows, waits, quotas and everybody else's mail on the same mailboxes. `mailboxes` is
 * today's state; later days begin with their whole quota.
 */
export function forecast(
  now: Date,
  zone: string,
  days: number,
  mailboxes: readonly PlannedMailbox[],
  enrolments: readonly ForecastEnrolment[],
): Forecast {
  const walkers = enrolments.map(walkerOf);
  const mails: ForecastMail[] = [];
  let waiting: Forecast['waiting'] = [];
  let from = now;
  for (let n = 0; n < days; n += 1) {
    const day = { from, to: localDay(zone, from).to };
    const state = mailboxes.map((mailbox) => (n === 0 ? mailbox : { ...mailbox, taken: 0, slots: [] }));
    waiting = walkDay(day, localDate(zone, from), state, walkers, mails);
    from = day.to;
  }
  return { mails, waiting };
}

/** Plans one day until nothing more fits: a step without a wait may follow on the same day. */
function walkDay(
  day: { from: Date; to: Date },
  date: string,
  mailboxes: PlannedMailbox[],
  walkers: readonly Walker[],
  mails: ForecastMail[],
): Forecast['waiting'] {
  const byId = new Map(walkers.map((walker) => [walker.enrolment.enrolmentId, walker]));
  for (;;) {
    const demands = walkers.flatMap((walker) => demandOf(walker, day));
    const { slots, unplanned } = planDay(day, mailboxes, demands);
    for (const slot of slots) {
      const walker = byId.get(slot.enrolmentId);
      if (!walker) continue;
      walker.mailboxId = slot.mailboxId;
      walker.contactSlots.push(slot.at);
      walker.stepNumber += 1;
      walker.dueAt = nextDue(walker.enrolment, walker.stepNumber, slot.at);
      const { enrolmentId, sequenceId } = walker.enrolment;
      mails.push({
        ...{ enrolmentId, sequenceId, stepNumber: walker.stepNumber },
        mailboxId: slot.mailboxId,
        at: slot.at,
        date,
      });
    }
    if (slots.length === 0) {
      return unplanned.map(({ enrolmentId, reason }) => {
        const sequenceId = byId.get(enrolmentId)?.enrolment.sequenceId ?? '';
        return { enrolmentId, sequenceId, reason };
      });
    }
    mailboxes = mailboxes.map((mailbox) => {
      const added = slots.filter((slot) => slot.mailboxId === mailbox.id).map((slot) => slot.at);
      return { ...mailbox, taken: mailbox.taken + added.length, slots: [...mailbox.slots, ...added] };
    });
  }
}

function walkerOf(enrolment: ForecastEnrolment): Walker {
  const { stepNumber, mailboxId, plannedAt } = enrolment;
  const dueAt = plannedAt === null ? enrolment.dueAt : nextDue(enrolment, stepNumber, plannedAt);
  return { enrolment, stepNumber, mailboxId, dueAt, contactSlots: [...enrolment.contactSlots] };
}

/** When the step after `stepNumber` is due if that one is accepted at its slot; null when it was the last. */
function nextDue(enrolment: ForecastEnrolment, stepNumber: number, acceptedAt: Date): Date | null {
  const wait = enrolment.waits[stepNumber];
  return wait === undefined ? null : dueAfter(enrolment.zone, acceptedAt, wait);
}

function demandOf(walker: Walker, day: { from: Date; to: Date }): Demand[] {
  const { dueAt, mailboxId, contactSlots, enrolment } = walker;
  if (dueAt === null || dueAt >= day.to || enrolment.waits[walker.stepNumber] === undefined) return [];
  const earliest = new Date(Math.max(dueAt.getTime(), day.from.getTime()));
  return [{ ...enrolment, earliest, mailboxId, contactSlots, immediate: false }];
}
