import { accountOf, countsOf } from '../support/account';
import type { CampaignWorld } from '../support/campaign-world';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { sleep, until } from '../support/until';
import { addressesIn, textOfLogs, textOfTemporal } from './address-scan';
import { Conservation } from './conservation';
import { FaultStack, LEASE_SECONDS, LONG_LEASE, WINDOW } from './fault-stack';
import { type CommitFate, PostgresProxy } from './postgres-proxy';

const MESSAGES = 1_200;
const PER_SECOND = 150;

let stack: FaultStack;
let world: CampaignWorld;
let conservation: Conservation;

beforeAll(async () => {
  stack = await FaultStack.start({ DRAIN_SLICE_SECONDS: '5' });
  world = await stack.world(MESSAGES);
  conservation = new Conservation(stack.database.workerUrl);
  await stack.startDelivery();
});

afterAll(async () => {
  await conservation.stop();
  await stack.stop();
});

/** Starts a campaign and waits until a third has arrived; the rest goes at this pace. */
async function campaignUnderWay(pacePerSecond = PER_SECOND): Promise<string> {
  await stack.sink.reset();
  await stack.sink.behave({ pacePerSecond: 400, latencyMs: 0 });
  const runId = await world.startCampaign();
  await until('a third sent', async () => (await stack.sink.counts()).tokens >= MESSAGES / 3);
  await stack.sink.behave({ pacePerSecond });
  return runId;
}

/** Lets the rest go as fast as it can and takes stock when the run has closed. */
async function account(runId: string) {
  await stack.sink.behave({ pacePerSecond: 0, latencyMs: 0 });
  await world.untilSent(runId);
  return accountOf(world, runId, countsOf(await stack.sink.tokens()));
}

const WHOLE = { rows: MESSAGES, duplicates: 0, lost: 0, denied: 0 };

test('Postgres restarted', async () => {
  const runId = await campaignUnderWay();
  await stack.postgres.server.restart();
  const result = await account(runId);
  expect(result).toMatchObject(WHOLE);
  expect(result.unconfirmed).toBeLessThanOrEqual(WINDOW);
});

test('Postgres gone for longer than a lease: what was answered meanwhile is settled when it is back', async () => {
  const runId = await campaignUnderWay();
  await stack.postgres.server.stop();
  await sleep(((LEASE_SECONDS * 2) / 3) * 1000 + 1_500);
  // The fence has closed: nothing begins any more.
  const { messages } = await stack.sink.counts();
  await sleep(3_500);
  expect((await stack.sink.counts()).messages).toBe(messages);
  await stack.postgres.server.start();
  const result = await account(runId);
  expect(result).toMatchObject(WHOLE);
  expect(result.unconfirmed).toBeLessThanOrEqual(WINDOW);
});

test('COMMITs whose fate is not known: every row is where it belongs', async () => {
  const proxy = await PostgresProxy.start(stack.postgres.server.port);
  try {
    await stack.stopDelivery();
    await stack.startDelivery({ ...LONG_LEASE, DATABASE_URL_WORKER: proxy.through(stack.database.workerUrl) });
    const fates: Record<CommitFate, number> = { pass: 0, lost: 0, 'answer-lost': 0 };
    const runId = await campaignUnderWay();
    let commits = 0;
    proxy.onCommit = () => {
      commits += 1;
      if (fates.lost + fates['answer-lost'] >= 30) return 'pass';
      const fate: CommitFate = commits % 10 === 0 ? 'lost' : commits % 10 === 5 ? 'answer-lost' : 'pass';
      fates[fate] += 1;
      return fate;
    };
    await until('many were hit', () => fates.lost >= 5 && fates['answer-lost'] >= 5);
    const result = await account(runId);
    // The process lived on and knew all answers: nothing had to stay unknown.
    expect(result).toMatchObject({ ...WHOLE, byStatus: { SENT: MESSAGES }, unconfirmed: 0 });
  } finally {
    proxy.onCommit = () => 'pass';
    await stack.stopDelivery();
    await proxy.stop();
  }
});

test('Postgres frozen at a COMMIT for longer than a lease', async () => {
  const proxy = await PostgresProxy.start(stack.postgres.server.port);
  try {
    await stack.startDelivery({ DATABASE_URL_WORKER: proxy.through(stack.database.workerUrl) });
    const runId = await campaignUnderWay();
    const frozen = new Promise<void>((resolve, reject) => {
      proxy.onCommit = () => {
        proxy.onCommit = () => 'pass';
        stack.postgres.server.freeze().then(resolve, reject);
        return 'pass';
      };
    });
    await frozen;
    await sleep(LEASE_SECONDS * 1000 + 2_000);
    await stack.postgres.server.thaw();
    const result = await account(runId);
    expect(result).toMatchObject(WHOLE);
    expect(result.unconfirmed).toBeLessThanOrEqual(WINDOW);
  } finally {
    await stack.stopDelivery();
    await proxy.stop();
  }
});

test('the mail server gone for ten seconds', async () => {
  // Slow enough for a campaign that can be hit.
  const server = await ScriptedSmtpServer.start({
    script: ({ step }) => (step === 'dot' ? { delayMs: 20 } : undefined),
  });
  try {
    await stack.startDelivery({ ...LONG_LEASE, SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=off` });
    const runId = await world.startCampaign();
    await until('a third sent', () => server.tokens.size >= MESSAGES / 3);
    const { port } = server;
    await server.stop();
    await sleep(10_000);
    expect((await world.counts(runId)).byStatus.QUEUED).toBeGreaterThan(0);
    await server.listen(port);
    await world.untilSent(runId);
    const result = await accountOf(world, runId, server.tokens);
    expect(result).toMatchObject(WHOLE);
    // Nobody's fault but the server's: no recipient failed for it.
    expect(result.byStatus.FAILED).toBeUndefined();
    expect(result.unconfirmed).toBeLessThanOrEqual(WINDOW);
    await stack.stopDelivery();
  } finally {
    await server.stop();
  }
});

/** Pauses and looks whether anything was begun more than a second later; the run stays paused. */
async function pauseHolds(runId: string): Promise<boolean> {
  const paused = await world.pause(runId);
  await sleep(2_500);
  if ((await stack.sink.begunSince(paused + 1_000)) === 0) return true;
  // Without Temporal the row is moved all the same, and the lane still drains.
  await world.resume(runId).catch(() => undefined);
  return false;
}

/** A machine that stands still for a second passes on late what was written in time: one of three pauses has to hold. */
const pauseStops = async (runId: string) =>
  (await pauseHolds(runId)) || (await pauseHolds(runId)) || (await pauseHolds(runId));

test('pause stops within a second, also with Temporal stopped', async () => {
  await stack.startDelivery(LONG_LEASE);
  const runId = await campaignUnderWay(0.4 * PER_SECOND);
  expect(await pauseStops(runId)).toBe(true);
  await stack.sink.behave({ pacePerSecond: 0, latencyMs: 40 });
  await world.resume(runId);
  const before = (await stack.sink.counts()).messages;
  await until('it goes on', async () => (await stack.sink.counts()).messages > before + 30);
  stack.temporal.freeze();
  try {
    expect(await pauseStops(runId)).toBe(true);
    expect((await world.counts(runId)).byStatus.QUEUED).toBeGreaterThan(0);
  } finally {
    stack.temporal.thaw();
  }
  await stack.sink.behave({ latencyMs: 0 });
  await world.resume(runId);
  expect(await account(runId)).toMatchObject({ ...WHOLE, byStatus: { SENT: MESSAGES } });
});

test('Temporal gone for twenty seconds', async () => {
  const runId = await campaignUnderWay(30);
  await stack.temporal.stop();
  await sleep(20_000);
  expect((await world.counts(runId)).byStatus.QUEUED).toBeGreaterThan(0);
  await stack.temporal.start();
  expect(await account(runId)).toMatchObject({ ...WHOLE, byStatus: { SENT: MESSAGES } });
});

test('no address in what Temporal keeps', async () => {
  const temporal = await textOfTemporal(stack.temporal.address);
  expect(addressesIn(temporal)).toEqual([]);
  // The walk reaches the payloads.
  expect(temporal.includes(`"workspaceId":"${world.workspaceId}"`)).toBe(true);
});

test("Temporal's store wiped in the middle of a campaign: schedules, lanes and the run come back", async () => {
  const runId = await campaignUnderWay(60);
  await stack.wipeTemporal();
  expect((await world.counts(runId)).byStatus.QUEUED).toBeGreaterThan(0);
  expect(await account(runId)).toMatchObject({ ...WHOLE, byStatus: { SENT: MESSAGES } });
});

test('no address in the new store, nor in the logs', async () => {
  expect(addressesIn(await textOfTemporal(stack.temporal.address))).toEqual([]);
  const logs = textOfLogs(stack.logs());
  expect(addressesIn(logs)).toEqual([]);
  expect(logs.length).toBeGreaterThan(10_000);
});

test('the ledger added up at every moment', async () => {
  const { polls, imbalances } = await conservation.stop();
  expect(imbalances).toEqual([]);
  expect(polls).toBeGreaterThan(100);
});
