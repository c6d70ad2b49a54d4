/** Words of the delivery ledger (design, section 4). */
export const DELIVERY_STATUSES = ['QUEUED', 'SENDING', 'SENT', 'FAILED', 'UNCONFIRMED', 'CANCELLED'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/** What caused a delivery. */
export type SourceType = 'CAMPAIGN' | 'OPT_IN' | 'TRANSACTIONAL' | 'TEST' | 'SEQUENCE';

/** Sources whose rows have no stream of their own: one constant stream per lane. */
export type ConstantSource = Exclude<SourceType, 'CAMPAIGN' | 'SEQUENCE'>;

/** All but opt-in and transactional are never sent twice. */
export type MessageClass = 'transactional' | 'opt-in' | 'journey' | 'bulk' | 'test';

/** What is drained together. */
export type LaneKind = 'opt-in' | 'transactional' | 'pool' | 'mailboxes';

/** After an unknown outcome: hold the row for evidence or an operator, or send again under the same Message-ID. */
export type UnknownPolicy = 'never-twice' | 'never-lost';

/** Class, lane and priority of each source; 1 is most urgent, 10 is bulk. */
export const SOURCES: Record<SourceType, { class: MessageClass; lane: LaneKind; priority: number }> = {
  TRANSACTIONAL: { class: 'transactional', lane: 'transactional', priority: 1 },
  OPT_IN: { class: 'opt-in', lane: 'opt-in', priority: 2 },
  TEST: { class: 'test', lane: 'transactional', priority: 3 },
  SEQUENCE: { class: 'journey', lane: 'mailboxes', priority: 6 },
  CAMPAIGN: { class: 'bulk', lane: 'pool', priority: 10 },
};

/** What an unknown outcome means for a class. */
export function unknownPolicy(messageClass: MessageClass): UnknownPolicy {
  return messageClass === 'opt-in' || messageClass === 'transactional' ? 'never-lost' : 'never-twice';
}

/** First try plus three (spec 002, "Retry Strategy"). */
export const MAX_ATTEMPTS = 4;

/** Minutes before attempt 2, 3 and 4. */
export const RETRY_MINUTES = [5, 15, 30] as const;
