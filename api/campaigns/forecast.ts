import { uncalculatedAudiences } from '../../db/audiences';
import { type CampaignRow, stateOf } from '../../db/campaigns';
import { CAMPAIGN_STATES } from '../../domain/campaigns';
import { type Forecast, type ForecastInput, forecastInSteps, limitsOf, type RouteLimits } from '../../domain/delivery';
import { invalidField, wrongState } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { moment, problemDocument, z } from '../http/schemas';
import { type ForecastQuestion, type PreparedForecast, prepareForecast } from './forecast-input';
import { PATH, params, requireCampaign } from './shared';

const DAYS = 14;
/** What an installation is taken to send where no limit says otherwise; see docs/performance.md. */
const PER_SECOND = 1_000;
/** Longest time for which the process does nothing but calculate. */
const TURN_MS = 15;

const count = z.number().int().nonnegative();
const route = { provider_id: z.uuid(), from_email: z.string(), ip_id: z.uuid().nullable() };

const document = z
  .object({
    campaign_id: z.uuid(),
    run_id: z.uuid().nullable(),
    status: z.enum(CAMPAIGN_STATES),
    from: moment,
    begins_at: moment,
    until: moment,
    is_estimate: z.boolean().openapi({ description: 'True: counts are extrapolated from a sample of the messages.' }),
    assumes: z
      .array(z.enum(['APPROVED', 'SENT_OFF', 'RESUMED', 'AUDIENCE_UNCALCULATED']))
      .openapi({ description: 'What is not so yet and was taken for granted; an uncalculated audience for empty.' }),
    messages: count.openapi({ description: 'That have not been sent yet.' }),
    sent: count.openapi({ description: 'That will be sent within the forecast.' }),
    finished_at: moment.nullable().openapi({ description: 'null: something is left at the end.' }),
    parts: z.array(
      z.object({
        date: z.iso.date().openapi({ description: 'In the workspace’s zone.' }),
        hour: z.number().int().nullable().openapi({ description: 'Local hour; null where parts are days.' }),
        mx_group: z.string(),
        ...route,
        messages: count,
        first_at: moment,
        last_at: moment,
      }),
    ),
    not_sent: z.record(z.string(), count).openapi({ description: 'Messages that the checks will refuse, by reason.' }),
    waiting: z
      .record(z.string(), count)
      .openapi({ description: 'Messages left at the end, by what holds them; PACE: only those before them.' }),
    holds: z
      .array(
        z.object({
          reason: z.string(),
          from: moment,
          to: moment.nullable(),
          mx_groups: z.array(z.string()),
          messages: count,
        }),
      )
      .openapi({ description: 'Times in which messages are due and something holds them.' }),
    routes: z
      .array(
        z.object({
          ...route,
          per_second: z.number(),
          breaker_until: moment.nullable().openapi({ description: 'When an open breaker is probed next.' }),
          limits: z.array(z.object({ kind: z.string(), limit: count, used: count })),
        }),
      )
      .openapi({ description: 'The ways its messages may take, as they are now.' }),
    others: count.openapi({ description: 'Messages of others, before and beside it, that were reckoned with.' }),
  })
  .openapi('CampaignForecast');

const forecastRoute = defineRoute({
  operationId: 'forecastCampaign',
  method: 'post',
  path: `${PATH}/{campaign_id}/forecast`,
  tag: 'Campaigns',
  summary: 'Says when each part of a campaign will go out, and what blocks it',
  description:
    'Goes through the queue in order of time with the checks and the routing that claims go by: send window, limits per ' +
    'second, day and 24 hours, breakers, throttles, frequency, and everything else that waits. A campaign that has not ' +
    'begun is taken with its audience as it is now. Every message is taken to be accepted at first try.',
  access: 'workspace',
  permission: 'campaigns:read',
  readOnly: true,
  transaction: false,
  params,
  body: z
    .strictObject({
      days: z
        .number()
        .int()
        .min(1)
        .max(60)
        .openapi({ description: `From its beginning on; default ${DAYS}.` }),
      parts: z.enum(['day', 'hour']).openapi({ description: 'Default day.' }),
      scheduled_at: moment.openapi({ description: 'As if it were scheduled for then; only before it begins.' }),
      messages_per_second: z
        .number()
        .int()
        .min(1)
        .max(10_000)
        .openapi({ description: `What the installation sends where no limit binds; default ${PER_SECOND}.` }),
    })
    .partial()
    .optional(),
  responses: {
    200: { description: 'The forecast', schema: document },
    409: { description: 'It is cancelled, or its audience cannot be told', schema: problemDocument },
    422: { description: 'It has no sender, or has begun already', schema: problemDocument },
  },
  async handle(context, { params: { campaign_id }, body }) {
    const question = {
      days: body?.days ?? DAYS,
      partBy: body?.parts ?? ('day' as const),
      scheduledAt: body?.scheduled_at === undefined ? null : new Date(body.scheduled_at),
      perSecond: body?.messages_per_second ?? PER_SECOND,
    };
    const read = await context.deps.db.workspaceTransaction(context.workspaceId, (tx) =>
      readQueue({ ...context, tx }, campaign_id, question),
    );
    // No connection waits for it.
    const found = await simulate(read.prepared.input);
    return { status: 200, body: { campaign_id, ...read.campaign, ...toDocument(read.prepared, found) } };
  },
});

async function readQueue(context: WorkspaceContext, campaignId: string, question: ForecastQuestion) {
  const campaign = await requireCampaign(context, campaignId);
  const status = stateOf(campaign);
  if (status === 'CANCELLED') throw wrongState('campaign', status, 'What is cancelled will not be sent.');
  if (question.scheduledAt !== null && campaign.started_at !== null) {
    throw invalidField('scheduled_at', 'The campaign has begun.');
  }
  const prepared = await prepareForecast(context, campaign, question);
  const assumes = await assumptions(context, campaign);
  return { prepared, campaign: { run_id: campaign.run_id, status, assumes } };
}

/** Goes through the queue, a little at a time: other requests are answered meanwhile. */
async function simulate(input: ForecastInput): Promise<Forecast> {
  const steps = forecastInSteps(input);
  let since = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() - since < TURN_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    since = performance.now();
  }
}

async function assumptions({ tx, workspaceId }: WorkspaceContext, campaign: CampaignRow) {
  const assumes: z.output<typeof document>['assumes'] = [];
  if (campaign.started_at === null) {
    if (campaign.message_id === null || campaign.approval !== 'APPROVED') assumes.push('APPROVED');
    if (campaign.run_id === null) assumes.push('SENT_OFF');
    const ids = [...campaign.include_audiences, ...campaign.exclude_audiences];
    if ((await uncalculatedAudiences(tx, workspaceId, ids)).length > 0) assumes.push('AUDIENCE_UNCALCULATED');
  }
  if (campaign.run_status === 'PAUSED') assumes.push('RESUMED');
  return assumes;
}

const told = (at: number) => new Date(at).toISOString();
const sum = (counts: Iterable<number>) => Math.round([...counts].reduce((all, n) => all + n, 0));
const rounded = (counts: ReadonlyMap<string, number>) =>
  Object.fromEntries([...counts].map(([reason, n]) => [reason, Math.round(n)]));

function toDocument({ input, beginsAt, isEstimate, ways }: PreparedForecast, found: Forecast) {
  const own = new Set(input.streams.filter(({ isOwn }) => isOwn).map(({ id }) => id));
  const last = Math.max(...found.parts.map(({ lastAt }) => lastAt), Number.NEGATIVE_INFINITY);
  return {
    from: told(input.now),
    begins_at: told(beginsAt),
    until: told(input.until),
    is_estimate: isEstimate,
    messages: sum(input.rows.filter((row) => own.has(row.streamId)).map(({ weight }) => weight)),
    sent: sum(found.parts.map(({ messages }) => messages)),
    finished_at: found.waiting.size > 0 ? null : told(Number.isFinite(last) ? last : beginsAt),
    parts: found.parts.map((part) => ({
      date: part.date,
      hour: part.hour,
      mx_group: part.mxGroup,
      provider_id: part.providerId,
      from_email: part.fromEmail,
      ip_id: part.ipId,
      messages: Math.round(part.messages),
      first_at: told(part.firstAt),
      last_at: told(part.lastAt),
    })),
    not_sent: rounded(found.refused),
    waiting: rounded(found.waiting),
    holds: found.holds.map(({ reason, from, to, mxGroups, messages }) => ({
      reason,
      from: told(from),
      to: to === null ? null : told(to),
      mx_groups: mxGroups,
      messages: Math.round(messages),
    })),
    routes: limitsOf(input, ways).map(toRoute),
    others: Math.round(found.others),
  };
}

function toRoute({ providerId, fromEmail, ipId, perSecond, breakerUntil, limits }: RouteLimits) {
  return {
    ...{ provider_id: providerId, from_email: fromEmail, ip_id: ipId, per_second: perSecond },
    breaker_until: breakerUntil === null ? null : told(breakerUntil),
    limits,
  };
}

export const campaignForecastRoutes: AnyRoute[] = [forecastRoute];
