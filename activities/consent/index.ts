import { log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import {
  closeUnconfirmed,
  lockForMail,
  markMailsEnqueued,
  markReminded,
  type OptInMailRow,
  readOptInState,
} from '../../db/consent';
import { freezeTemplateMessage } from '../../db/content';
import { type EnqueuedDelivery, enqueueDelivery } from '../../db/delivery';
import {
  type DoubleOptInInput,
  mailLanguage,
  nextOptInStep,
  OPT_IN_TEMPLATES,
  type OptInStep,
} from '../../domain/consent';
import { laneWorkflow } from '../../domain/delivery/contract';
import { type Queryable, sql } from '../../platform/postgres';
import { ensureWorkflow } from '../../platform/temporal';
import type { ActivityDependencies } from '../dependencies';

/** How long the workflow waits before it looks for a missing template again. */
const TEMPLATE_RETRY = '1 minute';

/** Activities of double opt-in. Each is idempotent, and each says what comes next. */
export function createConsentActivities(deps: ActivityDependencies) {
  const nextStep = async ({ workspaceId, requestId }: DoubleOptInInput): Promise<OptInStep> => {
    const read = await readOptInState(deps.db, workspaceId, requestId);
    if (!read) throw ApplicationFailure.create({ type: 'OptInRequestNotFound', nonRetryable: true });
    return nextOptInStep(read.state, read.now);
  };

  const wake = async (workspaceId: string, { laneId, urgent, wake }: EnqueuedDelivery): Promise<void> => {
    if (!wake) return;
    // The row is committed and its lane is on: what is lost here, the watchdog finds.
    await ensureWorkflow(deps.temporal, laneWorkflow({ workspaceId, laneId, urgent })).catch((error: unknown) =>
      log.warn('the opt-in lane could not be woken', { error: error instanceof Error ? error.name : 'unknown' }),
    );
  };

  return {
    /** Reads the request's row and says what is to be done now, or how long to wait. */
    nextOptInStep: nextStep,

    /** Enqueues the confirmation mails that were asked for and are not enqueued yet. */
    async sendOptInConfirmation(input: DoubleOptInInput): Promise<OptInStep> {
      const { workspaceId, requestId } = input;
      const enqueued = await deps.db.transaction(async (tx) => {
        const mail = await lockForMail(tx, workspaceId, requestId);
        if (!mail || mail.mails_enqueued >= mail.mails_requested) return null;
        // One mail for all that were asked for meanwhile: after an outage nobody wants three at once.
        const delivery = await enqueueMail(tx, deps, input, mail, 'mail', `mail-${mail.mails_requested}`);
        await markMailsEnqueued(tx, workspaceId, requestId, mail.mails_requested);
        return delivery;
      });
      if (enqueued) await wake(workspaceId, enqueued);
      return nextStep(input);
    },

    /** Enqueues the one reminder. */
    async sendOptInReminder(input: DoubleOptInInput): Promise<OptInStep> {
      const { workspaceId, requestId } = input;
      const enqueued = await deps.db.transaction(async (tx) => {
        const mail = await lockForMail(tx, workspaceId, requestId);
        if (!mail) return null;
        const delivery = await enqueueMail(tx, deps, input, mail, 'reminder', 'reminder');
        await markReminded(tx, workspaceId, requestId);
        return delivery;
      });
      if (enqueued) await wake(workspaceId, enqueued);
      return nextStep(input);
    },

    /** Closes a request whose time is over, unless a confirmation came first. */
    async expireOptIn(input: DoubleOptInInput): Promise<OptInStep> {
      await closeUnconfirmed(deps.db, input.workspaceId, input.requestId, 'EXPIRED');
      return nextStep(input);
    },

    /** Closes a request whose contact has another address by now. */
    async cancelOptIn(input: DoubleOptInInput): Promise<OptInStep> {
      await closeUnconfirmed(deps.db, input.workspaceId, input.requestId, 'CANCELLED');
      return nextStep(input);
    },
  };
}

/**
 * One mail of a request as a row of the ledger. The confirmation link is not stored in it: whoever renders the mail
 * makes it from the row's source_id and expires_at (domain/consent, optInUrl).
 */
async function enqueueMail(
  tx: Queryable,
  deps: ActivityDependencies,
  { workspaceId, requestId }: DoubleOptInInput,
  mail: OptInMailRow,
  kind: keyof typeof OPT_IN_TEMPLATES,
  stepKey: string,
): Promise<EnqueuedDelivery> {
  const slug = OPT_IN_TEMPLATES[kind];
  const language = mailLanguage(...mail.locales);
  const { EMAIL_FROM: email, EMAIL_FROM_NAME: name } = deps.config;
  const frozen = await freezeTemplateMessage(tx, { workspaceId, slug, language, defaultSender: { email, name } });
  if (!frozen) {
    const message = `The template "${slug}" is missing or not active: opt-in mails wait until it is back.`;
    // On a connection of its own, since this transaction will be rolled back.
    await deps.db.query(
      sql`SELECT sally_raise_alert(${workspaceId}, 'opt-in-template-missing', ${slug}, 'critical', ${message}, '{}'::jsonb)`,
    );
    throw ApplicationFailure.create({ type: 'OptInTemplateMissing', nextRetryDelay: TEMPLATE_RETRY });
  }
  return enqueueDelivery(tx, {
    workspaceId,
    sourceType: 'OPT_IN',
    sourceId: requestId,
    stepKey,
    contactId: mail.contact_id,
    address: null,
    recipientName: null,
    addressHash: null,
    emailDomain: mail.email_domain,
    messageId: frozen.messageId,
    context: { purpose_name: mail.purpose_name, wording: mail.wording },
    expiresAt: mail.expires_at,
  });
}
