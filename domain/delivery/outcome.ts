import { MAX_ATTEMPTS, type MessageClass, RETRY_MINUTES, unknownPolicy } from './ledger';

/** Whom a final refusal blames. Only `address` may ever lead to a suppression. */
export type RefusalScope = 'address' | 'sender' | 'message';

/** Why a route does not work at all. */
export type UnavailableCause = 'authentication' | 'tls' | 'connect' | 'protocol';

/**
 * What became of one message at the provider. The kinds differ in what is *known*:
 * - `accepted`: the receiving server took responsibility (RFC 5321 section 6.1).
 * - `throttled`: it asks us to slow down; says nothing against the recipient, burns no attempt.
 * - `transient`: it answered for this recipient with "later"; counts as an attempt.
 * - `permanent`: it refused for good. `suppress`: the address is known not to exist. `otherRoute`: this route can't
 *   carry the message (SMTPUTF8, RFC 6531), another might.
 * - `not-sent`: known not to be accepted, nobody's fault, nothing burnt. `inData` tells a drop inside the message's
 *   own DATA, which three times in a row counts as an attempt.
 * - `unavailable`: the route does not work (refused log-in, bad certificate, no connection, no SMTP); the recipient
 *   is unharmed, the breaker is told.
 * - `unknown`: the final dot was passed to the socket and no answer came. Nothing else is ever unknown.
 */
export type SendOutcome =
  | { kind: 'accepted'; providerMessageId: string | null; reply: string }
  | { kind: 'throttled'; retryAfterMs: number | null; code: number; enhanced: string | null; reply: string }
  | { kind: 'transient'; code: number | null; enhanced: string | null; reply: string }
  | {
      kind: 'permanent';
      scope: RefusalScope;
      suppress: boolean;
      otherRoute: boolean;
      code: number | null;
      enhanced: string | null;
      reply: string;
    }
  | { kind: 'not-sent'; cause: 'stopped' | 'fenced' | 'connection' | 'dropped-before-data'; inData: false }
  | { kind: 'not-sent'; cause: 'dropped-in-data'; inData: true }
  | { kind: 'unavailable'; cause: UnavailableCause; reply: string; retryAfterMs: number | null }
  | { kind: 'unknown'; cause: string };

/** Why a row failed, waits or is unknown after it had been handed to a provider. */
export type OutcomeReason =
  | 'RETRY'
  | 'RETRIES_EXHAUSTED'
  | 'THROTTLED'
  | 'ADDRESS_REJECTED'
  | 'SENDER_REJECTED'
  | 'MESSAGE_REJECTED'
  | 'ROUTE_UNSUITABLE'
  | 'DROPPED_IN_DATA'
  | 'SENDER_UNAVAILABLE'
  | 'NO_REPLY'
  | 'PROCESS_LOST';

/** What the row knew when it was claimed. */
export interface RowBeforeOutcome {
  messageClass: MessageClass;
  attempts: number;
  maxAttempts: number;
  dataDrops: number;
}

/** The row's way on. */
export interface Settlement {
  status: 'SENT' | 'FAILED' | 'QUEUED' | 'UNCONFIRMED';
  reason: OutcomeReason | null;
  /** Attempts burnt: only if the server answered for this recipient. */
  burnt: 0 | 1;
  /** New number of drops inside the row's own DATA in a row. */
  dataDrops: number;
  /** From now until the row is due again, for QUEUED. */
  delayMs: number;
  /** Suppress the address. */
  suppress: boolean;
  /** Keep a row in delivery_attempts: everything but a plain acceptance or an unharmed return. */
  record: boolean;
}

const MINUTE = 60_000;
const DEFAULT_THROTTLE_MS = MINUTE;
const DATA_DROPS_PER_ATTEMPT = 3;

function settlement(
  status: Settlement['status'],
  reason: OutcomeReason | null,
  changes: Partial<Settlement> = {},
): Settlement {
  return { status, reason, burnt: 0, dataDrops: 0, delayMs: 0, suppress: false, record: true, ...changes };
}

function retryOrFail(row: RowBeforeOutcome, changes: Partial<Settlement> = {}): Settlement {
  const attempts = row.attempts + 1;
  if (attempts >= row.maxAttempts) return settlement('FAILED', 'RETRIES_EXHAUSTED', { burnt: 1, ...changes });
  return settlement('QUEUED', 'RETRY', { burnt: 1, delayMs: retryDelayMs(attempts), ...changes });
}

/** Milliseconds to wait after the given number of failed attempts (spec 002: 5, 15, 30 minutes). */
export function retryDelayMs(attempts: number): number {
  return (RETRY_MINUTES[Math.min(attempts, RETRY_MINUTES.length) - 1] ?? RETRY_MINUTES[0]) * MINUTE;
}

/**
 * Decides what an outcome means for the row (design, section 4 "Retries", "Unknown"). `leaseMs` is the length of a
 * process lease: a resend after an unknown outcome waits that long, so that no second process is still writing.
 */
export function settle(outcome: SendOutcome, row: RowBeforeOutcome, leaseMs: number): Settlement {
  switch (outcome.kind) {
    case 'accepted':
      return settlement('SENT', null, { record: false });
    case 'throttled':
      return settlement('QUEUED', 'THROTTLED', {
        delayMs: outcome.retryAfterMs ?? DEFAULT_THROTTLE_MS,
        dataDrops: row.dataDrops,
      });
    case 'transient':
      return retryOrFail(row);
    case 'permanent':
      return settlement('FAILED', permanentReason(outcome.scope, outcome.otherRoute), {
        burnt: 1,
        suppress: outcome.suppress,
      });
    case 'not-sent':
      if (!outcome.inData) return settlement('QUEUED', null, { dataDrops: row.dataDrops, record: false });
      return afterDataDrop(row);
    case 'unavailable':
      return settlement('QUEUED', 'SENDER_UNAVAILABLE', { dataDrops: row.dataDrops, record: false });
    case 'unknown':
      return afterUnknown(row, leaseMs, 'NO_REPLY');
  }
}

/** What an unknown outcome means: bulk holds for evidence, opt-in and transactional mail is sent again. */
export function afterUnknown(row: RowBeforeOutcome, leaseMs: number, reason: OutcomeReason): Settlement {
  const attempts = row.attempts + 1;
  if (unknownPolicy(row.messageClass) === 'never-twice' || attempts >= Math.max(row.maxAttempts, MAX_ATTEMPTS)) {
    return settlement('UNCONFIRMED', reason, { burnt: 1 });
  }
  return settlement('QUEUED', reason, { burnt: 1, delayMs: leaseMs });
}

function permanentReason(scope: RefusalScope, otherRoute: boolean): OutcomeReason {
  if (otherRoute) return 'ROUTE_UNSUITABLE';
  switch (scope) {
    case 'address':
      return 'ADDRESS_REJECTED';
    case 'sender':
      return 'SENDER_REJECTED';
    case 'message':
      return 'MESSAGE_REJECTED';
  }
}

/** A drop inside the row's own DATA delays it a minute; the third in a row counts as an attempt. */
function afterDataDrop(row: RowBeforeOutcome): Settlement {
  const dataDrops = row.dataDrops + 1;
  if (dataDrops < DATA_DROPS_PER_ATTEMPT)
    return settlement('QUEUED', 'DROPPED_IN_DATA', { dataDrops, delayMs: MINUTE });
  return retryOrFail(row, {
    reason: row.attempts + 1 >= row.maxAttempts ? 'RETRIES_EXHAUSTED' : 'DROPPED_IN_DATA',
    dataDrops,
  });
}

/** Whether a row has to go alone: something in it makes servers drop the connection. */
export function goesAlone(dataDrops: number): boolean {
  return dataDrops >= DATA_DROPS_PER_ATTEMPT;
}
