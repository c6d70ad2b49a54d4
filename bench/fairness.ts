import { insertPool } from '../db/senders';
import { CampaignWorld, NEWSLETTER } from '../test/support/campaign-world';
import { spawnApi } from '../test/support/stack';
import { ownerKey } from './api-stack';
import { type Latencies, Trickle } from './fairness-trickle';
import { conditions, wallClock } from './measure';
import { SendingStack } from './sending-stack';
import type { SinkTokens } from './sink/client';

/** Budget (issue of the delivery plane): the small campaign, and mail that somebody waits for. */
const BUDGET = { smallSeconds: 10, urgentP99Ms: 1_000 };
const SMALL = 10;
const PER_SECOND = 5;
/** The small ones begin when this much of the bulk is sent. */
const BEGIN_AT = 0.3;
/** Of the crowded scenario: lanes of the one workspace, and drains that the process does at once. */
const LANES = 12;
const SLOTS = 2;

type Switch = 'claim-order' | 'engine-fairness';

interface Scenario {
  name: string;
  without: Switch | null;
  /** One workspace with more lanes than slots: the only case in which the engine has anything to decide. */
  crowded: boolean;
}

const SCENARIOS: readonly Scenario[] = [
  { name: 'as it is', without: null, crowded: false },
  { name: 'without claim order', without: 'claim-order', crowded: false },
  { name: 'crowded', without: null, crowded: true },
  { name: 'crowded, without engine fairness', without: 'engine-fairness', crowded: true },
];

interface Measured {
  name: string;
  bulk: number;
  bulkPerSecond: number;
  /** From start to the last of ten at the sink: a campaign of another workspace, and one of the same. */
  otherWorkspaceSeconds: number;
  sameWorkspaceSeconds: number;
  transactional: Latencies;
  optIn: Latencies;
}

/** Starts the bulk: one campaign, or one for each lane. */
async function startBulk(stack: SendingStack, crowded: boolean): Promise<string[]> {
  const { world, db } = stack;
  if (!crowded) return [await world.startCampaign()];
  const runs: string[] = [];
  for (let n = 0; n < LANES; n += 1) {
    const values = { name: `Pool ${n}`, description: '', strategy: 'round-robin' as const, is_default: false };
    const poolId = await insertPool(db, world.workspaceId, values, world.userId);
    runs.push(await world.startCampaign(NEWSLETTER, null, { poolId }));
  }
  return runs;
}

async function makeTemplate(apiUrl: string, workspaceId: string, key: string): Promise<string> {
  const slug = 'your-code';
  const answer = await fetch(new URL(`/workspaces/${workspaceId}/email-marketing/templates`, apiUrl), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` },
    body: JSON.stringify({
      name: 'Your code',
      slug,
      category: 'TRANSACTIONAL',
      subject_template: 'Your code',
      body_html: '<p>Your code is 123456.</p>',
    }),
  });
  if (answer.status !== 201) throw new Error(await answer.text());
  return slug;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 600_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('waited ten minutes in vain');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Seconds from `since` to the last message at the sink to addresses with this prefix. */
function secondsUntilLast(tokens: SinkTokens, prefix: string, since: number): number {
  const times = Object.values(tokens).flatMap((token) =>
    token.recipient.startsWith(prefix) ? [token.acceptedAt[0] ?? 0] : [],
  );
  if (times.length !== SMALL) throw new Error(`${times.length} messages to ${prefix}`);
  return Math.round((Math.max(...times) - since) / 10) / 100;
}

async function measure(scenario: Scenario, size: number): Promise<Measured> {
  const { name, without, crowded } = scenario;
  const bulk = crowded ? Math.ceil(size / LANES) * LANES : size;
  const stack = await SendingStack.start(crowded ? bulk / LANES : size, {
    env: {
      PUBLIC_REQUESTS_PER_MINUTE: '100000',
      ...(without && { SALLY_WITHOUT: without }),
      ...(crowded && { DELIVERY_SLOTS: String(SLOTS), DRAIN_SLICE_SECONDS: '5' }),
    },
    fair: without !== 'engine-fairness',
  });
  try {
    const { world, sink } = stack;
    const other = await CampaignWorld.create(world.connections, 0);
    await other.addContacts(SMALL, 'other');
    const purposeId = await world.addPurpose('tips', SMALL);
    const api = await spawnApi({ env: stack.env });
    const key = await ownerKey(stack.db, world.workspaceId);
    const template = await makeTemplate(api.url, world.workspaceId, key);
    const trickle = new Trickle({ apiUrl: api.url, workspaceId: world.workspaceId, key, template }, PER_SECOND);
    const sent = async () => (await sink.counts()).messages;

    const started = wallClock();
    const runs = await startBulk(stack, crowded);
    await until(async () => (await sent()) > 0);
    trickle.start();
    await until(async () => (await sent()) >= bulk * BEGIN_AT);
    const since = wallClock();
    const small = await Promise.all([other.startCampaign(), world.startCampaign(NEWSLETTER, null, { purposeId })]);
    for (const run of runs) await world.untilSent(run, 600_000);
    await trickle.stop();
    const ended = (await sink.counts()).lastAcceptedAt;
    for (const run of small) await world.untilSent(run, 120_000);
    await until(async () => (await sent()) >= bulk + 2 * SMALL + trickle.answered);
    const tokens = await sink.tokens();
    const measured = {
      name,
      bulk,
      bulkPerSecond: Math.round(bulk / ((ended - started) / 1_000)),
      otherWorkspaceSeconds: secondsUntilLast(tokens, 'other', since),
      sameWorkspaceSeconds: secondsUntilLast(tokens, 'tips', since),
      transactional: trickle.latencies('transactional', tokens),
      optIn: trickle.latencies('optIn', tokens),
    };
    await other.close();
    return measured;
  } finally {
    await stack.stop();
  }
}

function sentence(measured: Measured): string {
  const { name, bulk, bulkPerSecond, otherWorkspaceSeconds, sameWorkspaceSeconds, transactional, optIn } = measured;
  const urgent = ({ p50Ms, p99Ms, messages }: Latencies) => `p50 ${p50Ms} ms, p99 ${p99Ms} ms of ${messages}`;
  return (
    `${name}: while ${bulk} go out at ${bulkPerSecond}/s, ten of another workspace take ${otherWorkspaceSeconds} s and ten ` +
    `of the same ${sameWorkspaceSeconds} s; transactional ${urgent(transactional)}; opt-in ${urgent(optIn)}.`
  );
}

/** Whether a switch made things slower beyond what chance does: at least twice, and a second. */
function difference(
  what: string,
  on: number,
  off: number,
): { what: string; on: number; off: number; matters: boolean } {
  return { what, on, off, matters: off >= 2 * on && off - on >= 1 };
}

function report(all: readonly Measured[], size: number, before: ReturnType<typeof conditions>): void {
  const [base, unordered, crowded, unfair] = all;
  if (!base || !unordered || !crowded || !unfair) throw new Error('a scenario is missing');
  const differences = [
    difference('claim order: ten of the same workspace', base.sameWorkspaceSeconds, unordered.sameWorkspaceSeconds),
    difference('claim order: ten of another workspace', base.otherWorkspaceSeconds, unordered.otherWorkspaceSeconds),
    difference(
      'engine fairness: ten of another workspace',
      crowded.otherWorkspaceSeconds,
      unfair.otherWorkspaceSeconds,
    ),
    difference(
      'engine fairness: transactional p99',
      crowded.transactional.p99Ms / 1_000,
      unfair.transactional.p99Ms / 1_000,
    ),
  ];
  for (const { what, on, off, matters } of differences) {
    console.log(`${what}: ${on} s with it, ${off} s without: ${matters ? 'it matters' : 'no difference shown here'}.`);
  }
  const met =
    base.otherWorkspaceSeconds <= BUDGET.smallSeconds &&
    base.transactional.p99Ms <= BUDGET.urgentP99Ms &&
    base.optIn.p99Ms <= BUDGET.urgentP99Ms;
  console.log(
    `During a campaign of ${size} another workspace's ten are done after ${base.otherWorkspaceSeconds} s (budget ${BUDGET.smallSeconds} s); ` +
      `from the API's answer to the sink p99 is ${base.transactional.p99Ms} ms for transactional and ${base.optIn.p99Ms} ms for opt-in ` +
      `mail (budget ${BUDGET.urgentP99Ms} ms). "Crowded" is one workspace with ${LANES} lanes on ${SLOTS} slots.`,
  );
  console.log(
    JSON.stringify({
      name: 'fairness',
      value: base.otherWorkspaceSeconds,
      unit: 's',
      reference: BUDGET.smallSeconds,
      ratio: Math.round((base.otherWorkspaceSeconds / BUDGET.smallSeconds) * 1_000) / 1_000,
      details: { met, budget: BUDGET, size, perSecond: PER_SECOND, scenarios: all, differences, ...before },
    }),
  );
}

/** One workspace with much to send and others with little: who waits how long, and what that is owed to. */
export async function benchFairness(options: { size?: number }): Promise<void> {
  const before = conditions();
  const size = options.size ?? 100_000;
  const all: Measured[] = [];
  for (const scenario of SCENARIOS) {
    const measured = await measure(scenario, size);
    all.push(measured);
    console.log(sentence(measured));
  }
  report(all, size, before);
}
