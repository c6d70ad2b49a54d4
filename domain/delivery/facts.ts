import type { SendWindow } from '../campaigns';
import type { Frequency } from './frequency';
import type { MessageClass } from './ledger';

export type StreamState = 'WAITING' | 'ACTIVE' | 'PAUSED' | 'CANCELLED';
export type AddressStatus = 'ACTIVE' | 'UNSUBSCRIBED' | 'BOUNCED' | 'COMPLAINED';
export type ConsentStatus = 'granted' | 'denied' | 'pending';

/**
 * Everything a verdict is made from, gathered by one statement in the claim's transaction. Explain gathers the same
 * facts for a real or a hypothetical row.
 */
export interface Facts {
  messageClass: MessageClass;
  source: {
    stream: StreamState;
    /** Per-day send window of the stream, null = always. */
    window: SendWindow | null;
    /** False when an opt-in request is no longer open, or an enrolment has ended: its mail has no purpose any more. */
    open: boolean;
  };
  /** The earlier of the row's and the stream's; null = waits for ever. */
  expiresAt: Date | null;
  /** Whether the frozen message is approved and is the one the run was started with; 'not-needed' outside campaigns. */
  approval: 'not-needed' | 'valid' | 'void';
  /** Null: mail to an address without a contact. */
  contact: {
    erased: boolean;
    status: AddressStatus;
  } | null;
  suppression: { scope: 'address' | 'domain'; reason: 'BOUNCE' | 'COMPLAINT' | 'MANUAL' } | null;
  /** State for the message's channel and purpose; null = none on record. */
  consent: ConsentStatus | null;
  /** False when the contact left the message's preference category. */
  categorySubscribed: boolean;
  /** Null: the contact takes messages of the category as they come, or the class is not bound by it. */
  frequency: Frequency | null;
  /** When the window of a planned row's slot closes; null = the row has no slot. */
  slotUntil: Date | null;
  /** Opt-in mails begun to this address in the last 24 hours, oldest first. */
  optInMails: Date[];
}
