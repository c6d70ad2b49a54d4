import { findCampaign } from '../../db/campaigns';
import { attemptsOf, type Evidence, explainEvidence, explainFacts, isInAudience } from '../../db/delivery/explain';
import { findDelivery } from '../../db/delivery/list';
import { judge, judgeEach, type Verdict } from '../../domain/delivery';
import { notFound } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
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
    campaign_id: z.uuid(),
    run_id: z.uuid().nullable(),
    hypothetical: z
      .boolean()
      .openapi({ description: 'True: the ledger has no row, the verdict is on what it would be.' }),
    in_audience: z.boolean().openapi({ description: 'Whether a row is there or would be made now.' }),
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

const explain = defineRoute({
  operationId: 'explainContact',
  method: 'get',
  path: '/workspaces/{ws}/contacts/{contact_id}/explain',
  tag: 'Delivery',
  summary: 'Says why a contact will, will not or did receive a campaign',
  description:
    'Asks the checks of the claim, by the same statement and the same function, over the row of the campaign’s newest ' +
    'run, or over the row that it would make. Each check comes with its verdict and the records it went by. Breaker, ' +
    'throttle and limits belong to the sender, not to the recipient, and are not part of it.',
  access: 'workspace',
  permission: 'delivery:read',
  params: z.strictObject({ contact_id: id }),
  query: z.strictObject({ campaign: id }),
  responses: { 200: { description: 'The explanation', schema: explanation } },
  async handle({ tx, workspaceId }, { params, query }) {
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
