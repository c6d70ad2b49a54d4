import {
  type CampaignRow,
  comingRuns,
  poolLane,
  runPosition,
  type WalkedAudience,
  walkAudience,
} from '../../db/campaigns';
import { type AudienceDefinition, findMessage, findWorkspaceForContent } from '../../db/content';
import { hypotheticalMessages, type SendingState, sendingState, waitingMessages } from '../../db/delivery';
import { loadSenders, loadWaysOut, openIpCredentials } from '../../db/senders';
import { MAILBOX_PROVIDER_GROUPS } from '../../domain/contacts';
import type { ForecastInput, ForecastRow, ForecastStream } from '../../domain/delivery';
import { type RouteRequest, type Sender, type Ways, waysOf } from '../../domain/senders';
import { Problem } from '../http/problem';
import type { WorkspaceContext } from '../http/route';
import { senderOf } from './sender';

/** Rows that a simulation goes through at most: the campaign's own, and those that others have in the queue. */
const MOST = { own: 5_000, others: 3_000 };
const AUDIENCE_MS = 1_500;
/** Campaigns that will begin meanwhile: how many, and for each the rows and the time. */
const COMING = { most: 10, sample: 300, ms: 100 };
/** Stands for the stream of a campaign that has none. */
const NO_STREAM = 'none';

/** What a forecast is asked for. */
export interface ForecastQuestion {
  days: number;
  partBy: 'hour' | 'day';
  /** As if it were scheduled then; null = as it is. */
  scheduledAt: Date | null;
  /** Messages a second of a sender without a limit. */
  perSecond: number;
}

export interface PreparedForecast {
  input: ForecastInput;
  beginsAt: number;
  isEstimate: boolean;
  /** Of the campaign's messages. */
  ways: Ways;
}

/** What the campaign sends, or would send if it were submitted now. */
interface Content {
  request: RouteRequest;
  audience: AudienceDefinition;
  purposeId: string | null;
}

/** Reads everything that decides when the messages of a campaign go, with what else is in the queue. */
export async function prepareForecast(
  context: WorkspaceContext,
  campaign: CampaignRow,
  question: ForecastQuestion,
): Promise<PreparedForecast> {
  const { tx, workspaceId } = context;
  const run = campaign.run_id === null ? null : await runPosition(tx, workspaceId, campaign.run_id);
  const content = await contentOf(context, campaign, run?.messageId ?? campaign.message_id);
  const state = await sendingState(tx, workspaceId);
  const begun = campaign.started_at !== null;
  const beginsAt = Math.max(state.now, begun ? 0 : ((question.scheduledAt ?? campaign.scheduled_at)?.getTime() ?? 0));
  const until = beginsAt + question.days * 86_400_000;
  const rows = new RowMaker(context, await routesOf(context), state.now);
  const ownStream = campaign.run_stream_id ?? NO_STREAM;
  const laneId =
    run?.laneId ?? (await poolLane(tx, workspaceId, content.request.routing?.pool_id ?? null)) ?? NO_STREAM;
  rows.stream({ id: ownStream, laneId, isOwn: true });
  for (const message of await waitingMessages(tx, workspaceId, campaign.run_stream_id, MOST)) {
    const isOwn = message.streamId === ownStream;
    rows.stream({ id: message.streamId, laneId: message.laneId, isOwn });
    rows.add(
      message,
      { ...message, notBefore: Math.max(beginsAt * Number(isOwn), message.notBefore.getTime()) },
      isOwn,
    );
  }
  let isEstimate = rows.isSample;
  if (run?.phase !== 'MATERIALISED') {
    const position = { cursor: run?.cursor ?? null, purpose_id: content.purposeId };
    const limits = { ms: AUDIENCE_MS, sample: MOST.own };
    const walked = await walkAudience(tx, workspaceId, content.audience, position, limits);
    if (walked === null) {
      throw new Problem(
        'conflict',
        'The campaign’s conditions refer to something that is gone: nobody can say who is meant.',
      );
    }
    const of = { campaignId: campaign.id, runId: campaign.run_id, request: content.request };
    await rows.addAudience(of, walked, ownStream, beginsAt);
    isEstimate ||= walked.isEstimate;
  }
  await addComingRuns(context, rows, campaign.run_id, until);
  const input = { ...inputOf(context, state, question, rows), until };
  return { input, beginsAt, isEstimate, ways: rows.waysOf(content.request) };
}

function inputOf(
  { deps: { config } }: WorkspaceContext,
  state: SendingState,
  question: ForecastQuestion,
  rows: RowMaker,
): Omit<ForecastInput, 'until'> {
  const perMinute = config.CAMPAIGN_SEND_RATE_PER_MINUTE;
  const fallback = perMinute === undefined ? question.perSecond : perMinute / 60;
  const limits = new Map(
    rows.senders.map((sender) => [
      sender.providerId,
      sender.kind === 'provider' ? (sender.limits.perSecond ?? question.perSecond) : fallback,
    ]),
  );
  return {
    ...state,
    partBy: question.partBy,
    streams: rows.streams,
    rows: rows.rows,
    speedOf: (providerId) => Math.min(limits.get(providerId) ?? question.perSecond, question.perSecond),
    groupSize: config.DELIVERY_GROUP_SIZE,
    groups: MAILBOX_PROVIDER_GROUPS,
  };
}

/** The frozen message's sender and audience, else those that submitting would freeze. */
async function contentOf(context: WorkspaceContext, campaign: CampaignRow, messageId: string | null): Promise<Content> {
  const { tx, workspaceId } = context;
  const message = messageId === null ? null : await findMessage(tx, workspaceId, messageId);
  if (message?.audience) {
    const request = { fromEmail: message.fromEmail, fixedProviderId: null, routing: message.routing ?? null };
    return { request, audience: message.audience, purposeId: message.purposeId };
  }
  const sender = await senderOf(context, campaign, await findWorkspaceForContent(tx, workspaceId));
  return {
    request: { fromEmail: sender.fromEmail, fixedProviderId: null, routing: sender.routing ?? null },
    audience: {
      include: campaign.include_audiences,
      exclude: campaign.exclude_audiences,
      allConsented: campaign.all_consented,
      ...(campaign.audience_conditions === null ? {} : { conditions: campaign.audience_conditions }),
    },
    purposeId: campaign.purpose_id,
  };
}

interface Routes {
  senders: Sender[];
  known: Parameters<typeof waysOf>[2];
}

/** Senders and ways out, as a delivery process loads them. */
async function routesOf({ tx, workspaceId, deps }: WorkspaceContext): Promise<Routes> {
  const { SMTP_URL, SMTP_HOST } = deps.config;
  const hasFallback = SMTP_URL !== undefined || SMTP_HOST !== undefined;
  const senders = await loadSenders(tx, workspaceId, deps.keyring, hasFallback);
  const known = await loadWaysOut(tx, workspaceId);
  await openIpCredentials(tx, workspaceId, deps.keyring, known);
  return { senders, known };
}

/** Campaigns that make their rows meanwhile: they take their places, too. */
async function addComingRuns(
  { tx, workspaceId }: WorkspaceContext,
  rows: RowMaker,
  ownRunId: string | null,
  until: number,
): Promise<void> {
  for (const run of await comingRuns(tx, workspaceId, new Date(until), COMING.most + 1)) {
    if (run.id === ownRunId || run.audience === null) continue;
    const walked = await walkAudience(tx, workspaceId, run.audience, run, COMING);
    if (walked === null) continue;
    rows.stream({ id: run.stream_id, laneId: run.lane_id, isOwn: false });
    const request = { fromEmail: run.from_email, fixedProviderId: null, routing: run.routing };
    const of = { campaignId: run.campaign_id, runId: run.id, request };
    await rows.addAudience(of, walked, run.stream_id, run.scheduled_at.getTime());
  }
}

/** Makes the rows of a simulation. */
class RowMaker {
  readonly rows: ForecastRow[] = [];
  /** Whether any of the campaign's own rows stands for more than one. */
  isSample = false;
  private readonly known = new Map<string, ForecastStream>();
  private readonly waysByRequest = new Map<string, Ways>();

  constructor(
    private readonly context: WorkspaceContext,
    private readonly routes: Routes,
    private readonly now: number,
  ) {}

  get senders(): readonly Sender[] {
    return this.routes.senders;
  }

  get streams(): ForecastStream[] {
    return [...this.known.values()];
  }

  stream(stream: ForecastStream): void {
    if (!this.known.has(stream.id)) this.known.set(stream.id, stream);
  }

  waysOf(request: RouteRequest): Ways {
    const key = JSON.stringify(request);
    const ways = this.waysByRequest.get(key) ?? waysOf(request, this.routes.senders, this.routes.known);
    this.waysByRequest.set(key, ways);
    return ways;
  }

  /** `asIfOpen`: the source is taken to send, and to be approved, whatever it is now. */
  add(
    {
      deliveryId,
      mxGroup,
      routingGroup,
      facts,
    }: Pick<ForecastRow, 'deliveryId' | 'mxGroup' | 'routingGroup' | 'facts'>,
    place: { streamId: string; notBefore: number; weight: number; request: RouteRequest },
    asIfOpen: boolean,
  ): void {
    const { request, ...rest } = place;
    if (asIfOpen && place.weight > 1) this.isSample = true;
    this.rows.push({
      ...{ deliveryId, mxGroup, routingGroup, ...rest },
      ways: this.waysOf(request),
      facts: asIfOpen ? { ...facts, approval: 'valid', source: { ...facts.source, stream: 'ACTIVE' } } : facts,
    });
  }

  /** The rows that an audience would be given at a moment. */
  async addAudience(
    of: { campaignId: string; runId: string | null; request: RouteRequest },
    walked: WalkedAudience,
    streamId: string,
    at: number,
  ): Promise<void> {
    const { tx, workspaceId } = this.context;
    const messages = await hypotheticalMessages(tx, { workspaceId, ...of }, walked.sample);
    const sampled = new Map<string, number>();
    for (const { mxGroup } of messages) sampled.set(mxGroup, (sampled.get(mxGroup) ?? 0) + 1);
    for (const message of messages) {
      const inGroup = sampled.get(message.mxGroup) ?? 1;
      const weight = walked.isEstimate ? (walked.groups.get(message.mxGroup) ?? inGroup) / inGroup : 1;
      this.add(message, { streamId, notBefore: Math.max(at, this.now), weight, request: of.request }, true);
    }
  }
}
