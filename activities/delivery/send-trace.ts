import type { SendOutcome } from '../../channels/connector';
import type { MessageClass } from '../../domain/delivery';
import { isSampled, type Span, startSpan } from '../../platform/tracing';
import type { Candidate } from './candidate';

/** Moments of one message, in milliseconds since 1970. */
export interface SendMoments {
  claimBegun: number;
  claimCommitted: number;
}

/** The spans of one message (spec 001, "Distributed Tracing"): send_campaign_message with a child per step. Ids only. */
export class SendTrace {
  private constructor(
    private readonly span: Span,
    private readonly deliver: Span,
  ) {}

  /**
   * Begins the trace of a message below the active drain, when it is among those traced: bulk by `bulkRatio`,
   * everything else always. Rendering and the consent check (the claim's verdict) are over by then.
   */
  static begin(
    candidate: Candidate,
    messageClass: MessageClass,
    moments: SendMoments,
    bulkRatio: number,
  ): SendTrace | null {
    if ((messageClass === 'bulk' || messageClass === 'journey') && !isSampled(bulkRatio)) return null;
    const { due } = candidate;
    const span = startSpan('send_campaign_message', {
      startTime: candidate.renderBegun,
      attributes: {
        'delivery.id': due.id,
        ...(due.contact_id ? { 'contact.id': due.contact_id } : {}),
        ...(due.source_type === 'CAMPAIGN' ? { 'campaign.run_id': due.source_id } : {}),
        ...(candidate.campaignId ? { 'campaign.id': candidate.campaignId } : {}),
      },
    });
    if (!span.isRecording()) return null;
    startSpan('renderTemplate', { parent: span, startTime: candidate.renderBegun }).end(candidate.renderEnded);
    startSpan('checkConsent', { parent: span, startTime: moments.claimBegun }).end(moments.claimCommitted);
    return new SendTrace(span, startSpan('deliverMessage', { parent: span }));
  }

  end(outcome: SendOutcome): void {
    for (const span of [this.deliver, this.span]) {
      span.setAttribute('delivery.outcome', outcome.kind);
      span.end();
    }
  }
}
