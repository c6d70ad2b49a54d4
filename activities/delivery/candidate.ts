import type { OutgoingMessage } from '../../channels/connector';
import type { DueRow } from '../../db/delivery/read-ahead';

/** A due row, rendered and composed before anybody claimed it. */
export interface Candidate {
  due: DueRow;
  /** As it will be sent; the claim writes them into the row. */
  address: string;
  recipientName: string;
  message: OutgoingMessage | null;
  /** Rendering failed for this recipient: the claim fails the row instead of sending it. */
  failure: 'RENDERING_FAILED' | null;
  campaignId: string | null;
  /** When rendering and composing began and ended, in milliseconds since 1970. */
  renderBegun: number;
  renderEnded: number;
}
