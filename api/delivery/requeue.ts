import { findCampaign } from '../../db/campaigns';
import { wakeLane } from '../../db/delivery';
import { countRequeue, type RequeueFilter, requeue } from '../../db/delivery/requeue';
import { findSequence, planLock } from '../../db/journeys';
import { planSequencesWorkflow } from '../../domain/journeys';
import { invalidField, notFound } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { id, moment, plainText, workflowReference, z } from '../http/schemas';
import { startAfterCommit } from '../http/start-workflow';
import { followLane } from './follow-lane';

/** Rows of one call: a short transaction each. */
const MOST = 5_000;

const body = z.strictObject({
  campaign_id: id.optional(),
  sequence_id: id.optional(),
  contact_id: id.optional(),
  reasons: z
    .array(z.string().regex(/^[A-Z][A-Z_]{1,63}$/, 'is the reason of a failed delivery, for example RETRIES_EXHAUSTED'))
    .min(1)
    .max(50)
    .openapi({ description: 'Why the rows failed, as the list of deliveries shows it.' }),
  since: moment
    .optional()
    .openapi({ description: 'Only rows that were last begun, or made, at or after this moment.' }),
  note: plainText(1_000).trim().min(1).openapi({ description: 'Why they are queued again; kept in the audit log.' }),
  dry_run: z.boolean().default(false).openapi({ description: 'Counts, and changes nothing.' }),
});

const requeueDeliveries = defineRoute({
  operationId: 'requeueDeliveries',
  method: 'post',
  path: '/workspaces/{ws}/deliveries/requeue',
  tag: 'Delivery',
  summary: 'Queues failed messages again, by filter and reason',
  description:
    `For FAILED rows whose cause is gone; a campaign or a sequence, a contact or both are named. The rows stay what they are: the same ` +
    `identity and Message-ID, with all attempts before them, and every check is asked again when they are claimed. What ` +
    `they held of daily limits returns. Mail of a sequence gets another slot of its mailbox, and its enrolment goes on. ` +
    `Rows of cancelled sources stay as they are, and those of enrolments that were stopped or begun anew since. At most ${MOST} rows a call: ` +
    `\`remaining\` says how many are left. Messages whose outcome is unknown are settled instead, since they may have ` +
    `arrived.`,
  access: 'workspace',
  permission: 'delivery:settle',
  idempotent: true,
  body,
  responses: {
    200: {
      description: 'What was, or would be, queued again',
      schema: z.object({
        dry_run: z.boolean(),
        matched: z.record(z.string(), z.number().int()).openapi({ description: 'Rows that may go again, by reason.' }),
        cancelled: z
          .number()
          .int()
          .openapi({ description: 'Rows of cancelled sources and ended enrolments, which stay FAILED.' }),
        requeued: z.number().int(),
        remaining: z.number().int(),
        workflows: z.array(workflowReference).openapi({ description: 'Of the lanes in which rows wait again.' }),
      }),
    },
  },
  async handle(context, { body: wanted }) {
    const { tx, workspaceId } = context;
    if (!wanted.campaign_id && !wanted.sequence_id && !wanted.contact_id) {
      throw invalidField('campaign_id', 'Name a campaign or a sequence, a contact or both.');
    }
    if (wanted.campaign_id && wanted.sequence_id) {
      throw invalidField('sequence_id', 'Name either a campaign or a sequence.');
    }
    const campaign = wanted.campaign_id ? await findCampaign(tx, workspaceId, wanted.campaign_id) : null;
    if (wanted.campaign_id && !campaign) throw notFound('campaign');
    const sequence = wanted.sequence_id ? await findSequence(tx, workspaceId, wanted.sequence_id) : null;
    if (wanted.sequence_id && !sequence) throw notFound('sequence');
    // What a plan counts on: slots and enrolments.
    if (!wanted.dry_run) await planLock(tx, workspaceId);
    const filter: RequeueFilter = {
      workspaceId,
      campaignId: campaign?.id ?? null,
      sequenceId: sequence?.id ?? null,
      contactId: wanted.contact_id ?? null,
      reasons: wanted.reasons,
      since: wanted.since ? new Date(wanted.since) : null,
    };
    const { byReason, cancelled } = await countRequeue(tx, filter);
    const matched = Object.values(byReason).reduce((sum, count) => sum + count, 0);
    const done = wanted.dry_run ? { requeued: 0, laneIds: [], ofSequences: 0 } : await requeue(tx, filter, MOST);
    await context.audit({
      action: wanted.dry_run ? 'delivery.requeue-dry-run' : 'delivery.requeue',
      entityType: 'delivery',
      entityId: campaign?.id ?? sequence?.id ?? filter.contactId,
      new: {
        filter: {
          campaign_id: filter.campaignId,
          sequence_id: filter.sequenceId,
          contact_id: filter.contactId,
          reasons: wanted.reasons,
          since: wanted.since ?? null,
        },
        note: wanted.note,
        matched: byReason,
        requeued: done.requeued,
      },
    });
    const workflows = [];
    for (const laneId of done.laneIds)
      workflows.push(followLane(context, { laneId, wake: await wakeLane(tx, laneId) }));
    if (done.ofSequences > 0) workflows.push(startAfterCommit(context, planSequencesWorkflow(workspaceId)));
    return {
      status: 200,
      body: {
        dry_run: wanted.dry_run,
        matched: byReason,
        cancelled,
        requeued: done.requeued,
        remaining: matched - done.requeued,
        workflows,
      },
    };
  },
});

export const requeueRoutes: AnyRoute[] = [requeueDeliveries];
