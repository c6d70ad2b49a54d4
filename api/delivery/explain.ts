import { findCampaign } from '../../db/campaigns';
import { attemptsOf, type Evidence, explainEvidence, explainFacts, isInAudience } from '../../db/delivery/explain';
import { explainMessageEvidence, explainMessageFacts, findMessageKind } from '../../db/delivery/explain-message';
import { findDelivery } from '../../db/delivery/list';
import { judge, judgeEach, type Verdict } from '../../domain/delivery';
import { notFound, Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { id, moment, z } from '../http/schemas';
import { deliveryDocument, toDelivery } from './delivery-document';

const verdictDocument = z
  .object({
    kind: z.enum(['OK', 'FAIL', 'CANCEL', 'DEFER']),
    reason: z.string().nullable(),
    until: moment.nullable().openapi({ description: 'Of DEFER; null: until somebody changes the source’s state.' }),
  })
  .openapi('Verdict');

const suppression = z.object({ id: z.uuid(), reason: z.string(), created_at: moment }).nullable();

const evidenceDocument = z.object({
  address_suppression: suppression,
  domain_suppression: suppression,
  consent: z
    .object({
      event_id: z.uuid().nullable(),
      status: z.string(),
      source: z.string(),
      wording_version: z.number().int().nullable(),
      at: moment,
    })
    .nullable(),
  category: z.object({ category_id: z.uuid(), subscribed: z.boolean(), source: z.string(), at: moment }).nullable(),
  approval: z
    .object({
      message_id: z.uuid(),
      approval_id: z.uuid().nullable(),
      decision: z.string(),
      decided_by: z.uuid().nullable(),
      at: moment.nullable(),
    })
    .nullable(),
});

const attemptDocument = z.object({
  attempt: z.number().int(),
  outcome: z.string(),
  smtp_code: z.number().int().nullable(),
  enhanced_code: z.string().nullable(),
  diagnostic: z.string().nullable(),
  at: moment,
});

const explanation = z
  .object({
    contact_id: z.uuid(),
    campaign_id: z.uuid().nullable(),
    run_id: z.uuid().nullable(),
    hypothetical: z
      .boolean()
      .openapi({ description: 'True: the ledger has no row, the verdict is on what it would be.' }),
    in_audience: z
      .boolean()
      .nullable()
      .openapi({ description: 'Whether a row is there or would be made now; null where no campaign was asked for.' }),
    verdict: verdictDocument.openapi({ description: 'Of the claim, were it made now.' }),
    checks: z.array(z.object({ check: z.string(), applies: z.boolean(), verdict: verdictDocument })),
    evidence: evidenceDocument,
    judged_at: moment,
    // What became of the message.
    delivery: z.union([deliveryDocument, z.null()]),
    attempts: z.array(attemptDocument).openapi({ description: 'What was not accepted at first try.' }),
  })
  .openapi('Explanation');

function toVerdict(verdict: Verdict): z.output<typeof verdictDocument> {
  switch (verdict.kind) {
    case 'OK':
      return { kind: 'OK', reason: null, until: null };
    case 'DEFER':
      return { kind: 'DEFER', reason: verdict.reason, until: verdict.until?.toISOString() ?? null };
    case 'FAIL':
    case 'CANCEL':
      return { kind: verdict.kind, reason: verdict.reason, until: null };
  }
}

function toEvidence(evidence: Evidence): z.output<typeof evidenceDocument> {
  const { address_suppression, domain_suppression, consent, category, approval } = evidence;
  const made = <Row extends { created_at: Date }>(row: Row | null) =>
    row && { ...row, created_at: row.created_at.toISOString() };
  return {
    address_suppression: made(address_suppression),
    domain_suppression: made(domain_suppression),
    consent: consent && { ...consent, at: consent.at.toISOString() },
    category: category && { ...category, at: category.at.toISOString() },
    approval: approval && { ...approval, at: approval.at?.toISOString() ?? null },
  };
}

const key = z.string().min(1).max(63);
const explainQuery = z
  .strictObject({
    campaign: id.optional(),
    purpose: key.optional().openapi({ description: 'Key of the purpose that the message is for.' }),
    category: key.optional().openapi({ description: 'Key of its preference category.' }),
    class: z.enum(['bulk', 'journey', 'transactional', 'test']).optional().openapi({ description: 'Default: bulk.' }),
  })
  .superRefine(({ campaign, ...hypothetical }, context) => {
    const asks = Object.values(hypothetical).some((value) => value !== undefined);
    if ((campaign !== undefined) === asks) {
      const message = 'Give either campaign, or purpose, category and class of a hypothetical message.';
      context.addIssue({ code: 'custom', path: ['campaign'], message });
    }
  });

/** The explanation of a message that nobody has written. */
async function explainMessage(
  { tx, workspaceId }: WorkspaceContext,
  contactId: string,
  query: z.output<typeof explainQuery>,
): Promise<z.input<typeof explanation>> {
  const kinds = await findMessageKind(tx, workspaceId, query);
  if (kinds.purposeId === undefined) throw unknownKey('purpose');
  if (kinds.categoryId === undefined) throw unknownKey('category');
  const message = {
    workspaceId,
    contactId,
    messageClass: query.class ?? ('bulk' as const),
    purposeId: kinds.purposeId,
    categoryId: kinds.categoryId,
  };
  const found = await explainMessageFacts(tx, message);
  if (!found) throw notFound('contact');
  const { facts, now } = found;
  return {
    contact_id: contactId,
    campaign_id: null,
    run_id: null,
    hypothetical: true,
    in_audience: null,
    verdict: toVerdict(judge(facts, now)),
    checks: judgeEach(facts, now).map((each) => ({ ...each, verdict: toVerdict(each.verdict) })),
    evidence: toEvidence(await explainMessageEvidence(tx, message)),
    judged_at: now.toISOString(),
    delivery: null,
    attempts: [],
  };
}

function unknownKey(name: 'purpose' | 'category'): Problem {
  const detail = `No ${name} with this key exists in this workspace.`;
  return new Problem('validation-failed', detail, { errors: [{ pointer: `/query/${name}`, detail }] });
}

const explain = defineRoute({
  operationId: 'explainContact',
  method: 'get',
  path: '/workspaces/{ws}/contacts/{contact_id}/explain',
  tag: 'Delivery',
  summary: 'Says why a contact will, will not or did receive a campaign, or would receive a message of some kind',
  description:
    'Of `campaign`, or of a hypothetical message of a `class` for a `purpose` and in a `category`. Asks the checks of the claim, by the same statement and the same function, over the row of the campaign’s newest ' +
    'run, or over the row that it would make. Each check comes with its verdict and the records it went by. Breaker, ' +
    'throttle and limits belong to the sender, not to the recipient, and are not part of it.',
  access: 'workspace',
  permission: 'delivery:read',
  params: z.strictObject({ contact_id: id }),
  query: explainQuery,
  responses: { 200: { description: 'The explanation', schema: explanation } },
  async handle(context, { params, query }) {
    const { tx, workspaceId } = context;
    if (query.campaign === undefined) {
      return { status: 200, body: await explainMessage(context, params.contact_id, query) };
    }
    const campaign = await findCampaign(tx, workspaceId, query.campaign);
    if (!campaign) throw notFound('campaign');
    const of = { workspaceId, contactId: params.contact_id, campaignId: campaign.id, runId: campaign.run_id };
    const found = await explainFacts(tx, of);
    if (!found) throw notFound('contact');
    const { facts, now, row } = found;
    const delivery = row && (await findDelivery(tx, workspaceId, row));
    const attempts = row ? await attemptsOf(tx, workspaceId, row) : [];
    return {
      status: 200,
      body: {
        contact_id: params.contact_id,
        campaign_id: campaign.id,
        run_id: campaign.run_id,
        hypothetical: row === null,
        in_audience: row !== null || (await isInAudience(tx, of)),
        verdict: toVerdict(judge(facts, now)),
        checks: judgeEach(facts, now).map((each) => ({ ...each, verdict: toVerdict(each.verdict) })),
        evidence: toEvidence(await explainEvidence(tx, of)),
        judged_at: now.toISOString(),
        delivery: delivery && toDelivery(delivery),
        attempts: attempts.map((attempt) => ({ ...attempt, at: attempt.at.toISOString() })),
      },
    };
  },
});

export const explainRoutes: AnyRoute[] = [explain];
