import { listTestRecipients } from '../../db/campaigns';
import { insertMessage } from '../../db/content';
import { enqueueDelivery } from '../../db/delivery';
import { normaliseEmail } from '../../domain/contacts';
import { uuidv7 } from '../../platform/ids';
import { contextValues } from '../content';
import { followLane } from '../delivery';
import { Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { problemDocument, workflowReference, z } from '../http/schemas';
import { senderAddress } from './schemas';
import { PATH, params, requireCampaign } from './shared';
import { freezeCampaign } from './submit';

const MOST_TEST_RECIPIENTS = 10;

const startedTest = z.object({
  message_id: z.uuid(),
  deliveries: z.array(z.object({ delivery_id: z.uuid(), to: z.string() })),
  workflow: workflowReference,
});

/** The recipients by address; 422 names those who may not get tests. */
async function allowedRecipients(context: WorkspaceContext, to: string[]) {
  const allowed = new Map<string, string | null>();
  for (const { email, name } of await listTestRecipients(context.tx, context.workspaceId)) {
    const normalised = normaliseEmail(email);
    if (normalised.ok && !allowed.has(normalised.email)) allowed.set(normalised.email, name);
  }
  const errors = to.flatMap((email, index) =>
    allowed.has(email)
      ? []
      : [{ pointer: `/body/to/${index}`, detail: 'is neither a member nor a test recipient of this workspace' }],
  );
  if (errors.length > 0) {
    throw new Problem('validation-failed', 'Test mail goes to members and to the workspace’s test_recipients only.', {
      errors,
    });
  }
  return to.map((email) => ({ email, name: allowed.get(email) ?? null }));
}

const testSend = defineRoute({
  operationId: 'testCampaign',
  method: 'post',
  path: `${PATH}/{campaign_id}/test`,
  tag: 'Campaigns',
  summary: 'Sends the campaign as it is to test recipients',
  description:
    'Needs no approval and no consent, obeys suppressions, and counts nowhere. `context` stands for what a recipient ' +
    'would bring.',
  access: 'workspace',
  permission: 'campaigns:write',
  idempotent: true,
  params,
  body: z.strictObject({
    to: z
      .array(senderAddress)
      .min(1)
      .max(MOST_TEST_RECIPIENTS)
      .refine((all) => new Set(all).size === all.length, 'names an address twice'),
    context: contextValues.default({}),
  }),
  responses: {
    202: { description: 'On its way', schema: startedTest },
    422: { description: 'Not a test recipient, or the campaign cannot be sent', schema: problemDocument },
  },
  async handle(context, input) {
    const { tx, workspaceId, actor, deps } = context;
    const campaign = await requireCampaign(context, input.params.campaign_id);
    const recipients = await allowedRecipients(context, input.body.to);
    const frozen = await freezeCampaign(context, campaign, 'TEST');
    const message = await insertMessage(tx, {
      ...frozen.content,
      workspaceId,
      approval: 'NONE',
      authors: frozen.authors,
      submittedBy: actor.userId,
    });
    if (!message) throw new Error('a message could not be frozen');
    const sourceId = uuidv7();
    const deliveries: { delivery_id: string; to: string }[] = [];
    let lane = { laneId: '', wake: false };
    for (const { email, name } of recipients) {
      const enqueued = await enqueueDelivery(tx, {
        workspaceId,
        sourceType: 'TEST',
        sourceId,
        stepKey: 'test',
        contactId: null,
        address: email,
        recipientName: name,
        addressHash: deps.addressHasher.hash(email),
        emailDomain: email.slice(email.lastIndexOf('@') + 1),
        messageId: message.id,
        context: input.body.context,
        expiresAt: null,
      });
      lane = { laneId: enqueued.laneId, wake: lane.wake || enqueued.wake };
      if (enqueued.deliveryId) deliveries.push({ delivery_id: enqueued.deliveryId, to: email });
    }
    await context.audit({
      action: 'campaign.test',
      entityType: 'campaign',
      entityId: campaign.id,
      new: { message_id: message.id, recipients: deliveries.length },
    });
    return {
      status: 202,
      body: { message_id: message.id, deliveries, workflow: followLane(context, { ...lane, urgent: true }) },
    };
  },
});

export const testSendRoutes: AnyRoute[] = [testSend];
