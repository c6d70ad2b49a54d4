import type { DeliveryStatus } from '../delivery';

/** Spec 003, "CampaignRecipient". */
export const RECIPIENT_STATUSES = [
  'PENDING',
  'SENT',
  'DELIVERED',
  'OPENED',
  'CLICKED',
  'BOUNCED',
  'UNSUBSCRIBED',
  'FAILED',
] as const;
export type RecipientStatus = (typeof RECIPIENT_STATUSES)[number];

/** What became known after the message was handed over. Machines' opens and clicks do not count. */
export interface RecipientEvidence {
  unsubscribed: boolean;
  clicked: boolean;
  opened: boolean;
}

/**
 * The recipient's status, derived from the ledger and the strongest thing known since: UNSUBSCRIBED > BOUNCED >
 * CLICKED > OPENED > DELIVERED > SENT. DELIVERED and BOUNCED need events of providers; until those are received,
 * nobody has them. An unknown outcome is PENDING, unless the recipient proved that the message arrived.
 */
export function recipientStatus(status: DeliveryStatus, evidence: RecipientEvidence): RecipientStatus {
  switch (status) {
    case 'FAILED':
    case 'CANCELLED':
      return 'FAILED';
    case 'QUEUED':
      return 'PENDING';
    case 'SENDING':
    case 'UNCONFIRMED':
    case 'SENT':
      if (evidence.unsubscribed) return 'UNSUBSCRIBED';
      if (evidence.clicked) return 'CLICKED';
      if (evidence.opened) return 'OPENED';
      return status === 'SENT' ? 'SENT' : 'PENDING';
  }
}
