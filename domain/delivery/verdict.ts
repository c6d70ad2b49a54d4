import { nextOpening } from '../campaigns';
import type { Facts } from './facts';
import { type Frequency, isUsedUp, nextPeriod } from './frequency';
import type { MessageClass } from './ledger';

/** Why a row was failed, cancelled or put off by a check. Stable: shown to users and counted in reports. */
export type VerdictReason =
  | 'SOURCE_CANCELLED'
  | 'SOURCE_WAITING'
  | 'SOURCE_PAUSED'
  | 'SOURCE_CLOSED'
  | 'OUTSIDE_SEND_WINDOW'
  | 'SLOT_MISSED'
  | 'EXPIRED'
  | 'APPROVAL_VOID'
  | 'CONTACT_ERASED'
  | 'SUPPRESSED_ADDRESS'
  | 'SUPPRESSED_DOMAIN'
  | 'ADDRESS_BOUNCED'
  | 'ADDRESS_COMPLAINED'
  | 'UNSUBSCRIBED'
  | 'CONSENT_MISSING'
  | 'CONSENT_DENIED'
  | 'CATEGORY_UNSUBSCRIBED'
  | 'FREQUENCY_LIMIT'
  | 'OPT_IN_LIMIT'
  /** The template cannot be rendered for this recipient. */
  | 'RENDERING_FAILED';

export type Verdict =
  | { kind: 'OK' }
  /** Final: the row becomes FAILED. */
  | { kind: 'FAIL'; reason: VerdictReason }
  /** The source is gone: the row becomes CANCELLED. */
  | { kind: 'CANCEL'; reason: VerdictReason }
  /** Not now. `until` null: until somebody changes the source's state. */
  | { kind: 'DEFER'; reason: VerdictReason; until: Date | null };

const OK: Verdict = { kind: 'OK' };

/** Most opt-in mails to one address in any rolling 24 hours, over all purposes, reminders included. */
export const OPT_IN_MAILS_PER_DAY = 3;
const DAY = 24 * 3600 * 1000;
/** How long a row without a slot is left alone. */
const SLOT_RETRY = 3600 * 1000;

interface Check {
  /** Name in explanations and in the docs' matrix. */
  name: string;
  /** Classes the check binds; for the others it is always OK. */
  classes: readonly MessageClass[];
  judge(facts: Facts, now: Date): Verdict;
}

const ALL: readonly MessageClass[] = ['transactional', 'opt-in', 'journey', 'bulk', 'test'];
const MARKETING: readonly MessageClass[] = ['journey', 'bulk'];

/**
 * The verdict registry, in the order of the design (section 4, "Verdicts"). Checks whose data do not exist yet
 * (quiet hours) are absent and are added with their data; sender, breaker and capacity belong to the
 * route and are judged once per group, not per recipient.
 */
export const CHECKS: readonly Check[] = [
  {
    name: 'source state',
    classes: ALL,
    judge: ({ source }) => {
      switch (source.stream) {
        case 'CANCELLED':
          return { kind: 'CANCEL', reason: 'SOURCE_CANCELLED' };
        case 'WAITING':
          return { kind: 'DEFER', reason: 'SOURCE_WAITING', until: null };
        case 'PAUSED':
          return { kind: 'DEFER', reason: 'SOURCE_PAUSED', until: null };
        case 'ACTIVE':
          return source.open ? OK : { kind: 'CANCEL', reason: 'SOURCE_CLOSED' };
      }
    },
  },
  {
    name: 'expiry',
    classes: ALL,
    judge: ({ expiresAt }, now) => (expiresAt !== null && expiresAt <= now ? { kind: 'FAIL', reason: 'EXPIRED' } : OK),
  },
  {
    name: 'send window',
    classes: MARKETING,
    judge: ({ source }, now) => {
      if (source.window === null) return OK;
      const opening = nextOpening(source.window, now);
      return opening.open ? OK : { kind: 'DEFER', reason: 'OUTSIDE_SEND_WINDOW', until: opening.opensAt };
    },
  },
  {
    name: 'slot',
    classes: ['journey'],
    // The planner looks every 15 minutes for rows that have missed their slot, and gives them another.
    judge: ({ slotUntil }, now) =>
      slotUntil !== null && slotUntil <= now
        ? { kind: 'DEFER', reason: 'SLOT_MISSED', until: new Date(now.getTime() + SLOT_RETRY) }
        : OK,
  },
  {
    name: 'approval',
    classes: MARKETING,
    judge: ({ approval }) => (approval === 'void' ? { kind: 'FAIL', reason: 'APPROVAL_VOID' } : OK),
  },
  {
    name: 'erasure',
    classes: ALL,
    judge: ({ contact }) => (contact?.erased ? { kind: 'FAIL', reason: 'CONTACT_ERASED' } : OK),
  },
  {
    name: 'suppression',
    classes: ALL,
    judge: ({ suppression }) => {
      if (suppression === null) return OK;
      return { kind: 'FAIL', reason: suppression.scope === 'domain' ? 'SUPPRESSED_DOMAIN' : 'SUPPRESSED_ADDRESS' };
    },
  },
  {
    name: 'address status',
    classes: ALL,
    judge: ({ contact, messageClass }) => {
      switch (contact?.status) {
        case 'BOUNCED':
          return { kind: 'FAIL', reason: 'ADDRESS_BOUNCED' };
        case 'COMPLAINED':
          return { kind: 'FAIL', reason: 'ADDRESS_COMPLAINED' };
        case 'UNSUBSCRIBED':
          return MARKETING.includes(messageClass) ? { kind: 'FAIL', reason: 'UNSUBSCRIBED' } : OK;
        case 'ACTIVE':
        case undefined:
          return OK;
      }
    },
  },
  {
    name: 'consent',
    classes: ['journey', 'bulk', 'transactional'],
    judge: ({ consent, messageClass }) => {
      // Transactional mail needs no consent, but a denied one stops it.
      if (consent === 'denied') return { kind: 'FAIL', reason: 'CONSENT_DENIED' };
      if (messageClass === 'transactional' || consent === 'granted') return OK;
      return { kind: 'FAIL', reason: 'CONSENT_MISSING' };
    },
  },
  {
    name: 'preference category',
    classes: MARKETING,
    judge: ({ categorySubscribed }) => (categorySubscribed ? OK : { kind: 'FAIL', reason: 'CATEGORY_UNSUBSCRIBED' }),
  },
  {
    name: 'frequency',
    classes: MARKETING,
    judge: ({ frequency, messageClass }, now) =>
      frequency === null ? OK : judgeFrequency(messageClass, frequency, now),
  },
  {
    name: 'opt-in limit',
    classes: ['opt-in'],
    judge: ({ optInMails }, now) => {
      const recent = optInMails.filter((at) => now.getTime() - at.getTime() < DAY);
      const oldestThatCounts = recent.at(-OPT_IN_MAILS_PER_DAY);
      if (oldestThatCounts === undefined) return OK;
      return { kind: 'DEFER', reason: 'OPT_IN_LIMIT', until: new Date(oldestThatCounts.getTime() + DAY) };
    },
  },
];

/**
 * A contact's day, week or month has had its message of the category. What comes by itself (bulk) is left out for this
 * contact, else a backlog of old news would wait for it; a step of a journey waits for the next period.
 */
export function judgeFrequency(messageClass: MessageClass, frequency: Frequency, now: Date): Verdict {
  if (!isUsedUp(frequency, now)) return OK;
  if (messageClass === 'bulk') return { kind: 'FAIL', reason: 'FREQUENCY_LIMIT' };
  return { kind: 'DEFER', reason: 'FREQUENCY_LIMIT', until: nextPeriod(frequency.limit, frequency.zone, now) };
}

/** The first check that is not OK decides. Pure: the same facts and moment give the same verdict, always. */
export function judge(facts: Facts, now: Date): Verdict {
  for (const check of CHECKS) {
    if (!check.classes.includes(facts.messageClass)) continue;
    const verdict = check.judge(facts, now);
    if (verdict.kind !== 'OK') return verdict;
  }
  return OK;
}

/** Every check with its own verdict, for explanations. */
export function judgeEach(facts: Facts, now: Date): { check: string; applies: boolean; verdict: Verdict }[] {
  return CHECKS.map((check) => {
    const applies = check.classes.includes(facts.messageClass);
    return { check: check.name, applies, verdict: applies ? check.judge(facts, now) : OK };
  });
}
