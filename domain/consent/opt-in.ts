/** Rules of double opt-in (issue: sign-up, reminder, expiry). Pure; time is passed in. */

export type OptInStatus = 'OPEN' | 'CONFIRMED' | 'EXPIRED' | 'CANCELLED';

/** Frozen templates of the two mails; seeded per workspace, edited like any other template. */
export const OPT_IN_TEMPLATES = { mail: 'opt-in-confirmation', reminder: 'opt-in-reminder' } as const;

/** Mails that the API asks for per contact in any rolling 24 h. The claim counts again, reminders included. */
export const MAILS_REQUESTED_PER_DAY = 3;

/** A second request for a mail within this time is the same click: double clicks and retries send one mail. */
export const SAME_CLICK_SECONDS = 2;

/** What a step is decided by; times by the database's clock. */
export interface OptInState {
  status: OptInStatus;
  mailsRequested: number;
  mailsEnqueued: number;
  remindAt: Date | null;
  remindedAt: Date | null;
  expiresAt: Date;
  /** The address that the request is about is no longer the contact's. */
  addressChanged: boolean;
}

/** What a run does next. Milliseconds are a waiting time, never a moment: a workflow only sleeps. */
export type OptInStep =
  | { kind: 'closed'; status: Exclude<OptInStatus, 'OPEN'> }
  | { kind: 'cancel' }
  | { kind: 'expire' }
  | { kind: 'send-confirmation' }
  | { kind: 'send-reminder' }
  | { kind: 'wait'; for: 'reminder' | 'expiry'; milliseconds: number };

/** The next step of a request. */
export function nextOptInStep(state: OptInState, now: Date): OptInStep {
  if (state.status !== 'OPEN') return { kind: 'closed', status: state.status };
  if (state.expiresAt <= now) return { kind: 'expire' };
  if (state.addressChanged) return { kind: 'cancel' };
  if (state.mailsEnqueued < state.mailsRequested) return { kind: 'send-confirmation' };
  if (state.remindAt !== null && state.remindedAt === null && state.remindAt < state.expiresAt) {
    if (state.remindAt <= now) return { kind: 'send-reminder' };
    return { kind: 'wait', for: 'reminder', milliseconds: state.remindAt.getTime() - now.getTime() };
  }
  return { kind: 'wait', for: 'expiry', milliseconds: state.expiresAt.getTime() - now.getTime() };
}

/** Whether an open request may ask for one more mail, by the times at which the contact's mails were asked for. */
export function mayAskForMail(askedAt: readonly Date[], now: Date): boolean {
  const recent = askedAt.filter((moment) => now.getTime() - moment.getTime() < 24 * 3_600_000);
  const latest = Math.max(...recent.map((moment) => moment.getTime()), Number.NEGATIVE_INFINITY);
  return recent.length < MAILS_REQUESTED_PER_DAY && now.getTime() - latest >= SAME_CLICK_SECONDS * 1_000;
}
