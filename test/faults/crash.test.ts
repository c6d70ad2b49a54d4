import { sql } from '../../platform/postgres';
import { accountOf, countsOf, ledgerTokens } from '../support/account';
import type { CampaignWorld } from '../support/campaign-world';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { until } from '../support/until';
import { addressesIn, textOfLogs, textOfTemporal } from './address-scan';
import { Conservation } from './conservation';
import { FaultStack, LONG_LEASE, WINDOW } from './fault-stack';

const MESSAGES = 3_000;
const FEW = 400;
const PER_SECOND = 200;

let stack: FaultStack;
let world: CampaignWorld;
let small: CampaignWorld;
let conservation: Conservation;

beforeAll(async () => {
  stack = await FaultStack.start();
  world = await stack.world(MESSAGES);
  small = await stack.world(FEW);
  conservation = new Conservation(stack.database.workerUrl);
});

afterAll(async () => {
  await conservation.stop();
  await stack.stop();
});

/** Moments of `count` faults: shares of the campaign, uniformly random between 5 and 95 %. */
function moments(count: number): number[] {
  return Array.from({ length: count }, () => 0.05 + 0.9 * Math.random()).sort((a, b) => a - b);
}

async function accepted(): Promise<number> {
  return (await stack.sink.counts()).tokens;
}

async function beginCampaign(of = world): Promise<string> {
  await stack.sink.reset();
  await stack.sink.behave({ pacePerSecond: PER_SECOND });
  return of.startCampaign();
}

/** The claim that each row of a status belongs to, by token. */
async function claims(runId: string, status: string): Promise<Map<string, string>> {
  const { rows } = await world.db.query<{ token: string; claim_id: string }>(sql`
    SELECT replace(source_id::text, '-', '') || '.' || replace(id::text, '-', '') AS token, claim_id
    FROM deliveries WHERE source_id = ${runId} AND status = ${status}`);
  return new Map(rows.map((row) => [row.token, row.claim_id]));
}

const tokenOf = (messageId: string): string => messageId.split('@')[0] ?? messageId;

test('kill -9 of the delivery worker, five times in one campaign: nothing lost, nothing twice', async () => {
  let worker = await stack.startDelivery();
  const runId = await beginCampaign();
  for (const moment of moments(5)) {
    await until(`${Math.round(moment * 100)} % sent`, async () => (await accepted()) >= moment * MESSAGES);
    await worker.process.kill();
    stack.delivery = [];
    const before = (await world.counts(runId)).byStatus;
    // What the dead process had open is all that can become unknown.
    expect(before.SENDING ?? 0).toBeLessThanOrEqual(WINDOW);
    worker = await stack.startDelivery();
  }
  await world.untilSent(runId);
  const account = await accountOf(world, runId, countsOf(await stack.sink.tokens()));
  expect(account).toMatchObject({ rows: MESSAGES, duplicates: 0, lost: 0, denied: 0 });
  expect(account.unconfirmed).toBeLessThanOrEqual(5 * WINDOW);
  await stack.stopDelivery();
});

test.each([
  ['after the commit of a claim, before its first byte', 'after-claim-commit:5'],
  ['after a reply, before it is settled', 'before-settle:150'],
])('killed %s', async (_when, failpoint) => {
  const worker = await stack.startDelivery({ SALLY_FAILPOINT: failpoint });
  const runId = await beginCampaign(small);
  expect(await worker.process.waitForExit()).toMatchObject({ signal: 'SIGKILL' });
  stack.delivery = [];
  const left = (await small.counts(runId)).byStatus;
  expect(left.SENDING).toBeGreaterThan(0);
  expect(left.SENDING).toBeLessThanOrEqual(WINDOW);
  await stack.sink.behave({ pacePerSecond: 0 });
  await stack.startDelivery();
  await small.untilSent(runId);
  const account = await accountOf(small, runId, countsOf(await stack.sink.tokens()));
  expect(account).toMatchObject({ rows: FEW, duplicates: 0, lost: 0, denied: 0 });
  expect(account.unconfirmed).toBeLessThanOrEqual(left.SENDING ?? 0);
  await stack.stopDelivery();
});

test('killed by the mail server on the final dot, before it answers: the message is unconfirmed, not repeated', async () => {
  const server = await ScriptedSmtpServer.start();
  try {
    const worker = await stack.startDelivery({ SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=off` });
    let dots = 0;
    server.script = ({ step }) => {
      if (step !== 'dot' || ++dots !== 200) return undefined;
      process.kill(worker.pid, 'SIGKILL');
      return { drop: true, accepted: true };
    };
    const runId = await small.startCampaign();
    expect(await worker.process.waitForExit()).toMatchObject({ signal: 'SIGKILL' });
    stack.delivery = [];
    const atDeath = server.accepted.at(-1)?.token.split('@')[0] ?? '';
    await stack.startDelivery({ SMTP_URL: `smtp://127.0.0.1:${server.port}?tls=off` });
    await small.untilSent(runId);
    const account = await accountOf(small, runId, server.tokens);
    expect(account).toMatchObject({ rows: FEW, duplicates: 0, lost: 0, denied: 0 });
    expect(account.unconfirmed).toBeGreaterThan(0);
    expect(account.unconfirmed).toBeLessThanOrEqual(WINDOW);
    expect(await ledgerTokens(small, runId)).toContainEqual({ token: atDeath, status: 'UNCONFIRMED' });
    await stack.stopDelivery();
  } finally {
    await server.stop();
  }
});

test('stopped past its lease, then continued: it writes nothing of what was taken from it, and late answers count', async () => {
  const worker = await stack.startDelivery();
  const runId = await beginCampaign(small);
  await until('a third sent', async () => (await accepted()) >= FEW / 3);
  worker.process.signal('SIGSTOP');
  await until('the rows were taken over', async () => ((await small.counts(runId)).byStatus.SENDING ?? 0) === 0);
  const taken = await claims(runId, 'UNCONFIRMED');
  expect(taken.size).toBeGreaterThan(0);
  expect(taken.size).toBeLessThanOrEqual(WINDOW);
  const before = await stack.sink.tokens();
  worker.process.signal('SIGCONT');
  await small.untilSent(runId);
  const after = await stack.sink.tokens();
  const account = await accountOf(small, runId, countsOf(after));
  expect(account).toMatchObject({ rows: FEW, duplicates: 0, lost: 0, denied: 0 });
  // What reached the server afterwards all the same was given back first, as known unsent, and claimed anew.
  const sent = await claims(runId, 'SENT');
  const written = Object.keys(after).filter((token) => !(token in before) && taken.has(tokenOf(token)));
  expect(written.filter((token) => sent.get(tokenOf(token)) === taken.get(tokenOf(token)))).toEqual([]);
  const { rows: late } = await small.db.query<{ outcome: string; n: number }>(sql`
    SELECT outcome, count(*)::int AS n FROM late_settlements
    WHERE source_id = ${runId} AND origin = 'REPLY' AND applied GROUP BY outcome`);
  const lateBy = Object.fromEntries(late.map(({ outcome, n }) => [outcome, n]));
  // The answers lay in its sockets while it stood still.
  expect(lateBy.SENT).toBeGreaterThan(0);
  expect(written).toHaveLength(lateBy.QUEUED ?? 0);
  expect(account.unconfirmed).toBe(taken.size - (lateBy.SENT ?? 0) - (lateBy.QUEUED ?? 0));
  await stack.stopDelivery();
});

test('SIGTERM, five times in one campaign: nothing unconfirmed, nothing twice', async () => {
  await stack.startDelivery(LONG_LEASE);
  const runId = await beginCampaign();
  for (const moment of moments(5)) {
    const next = await stack.startDelivery(LONG_LEASE);
    await until(`${Math.round(moment * 100)} % sent`, async () => (await accepted()) >= moment * MESSAGES);
    const old = stack.delivery.filter((worker) => worker !== next);
    for (const worker of old) worker.process.signal('SIGTERM');
    for (const worker of old) expect(await worker.process.waitForExit()).toEqual({ code: 0, signal: null });
    stack.delivery = [next];
  }
  await world.untilSent(runId);
  const account = await accountOf(world, runId, countsOf(await stack.sink.tokens()));
  expect(account).toMatchObject({ byStatus: { SENT: MESSAGES }, duplicates: 0, lost: 0 });
  await stack.stopDelivery();
});

test('the ledger added up at every moment', async () => {
  const { polls, imbalances } = await conservation.stop();
  expect(imbalances).toEqual([]);
  expect(polls).toBeGreaterThan(100);
});

test('no address in what Temporal keeps, nor in the logs', async () => {
  const temporal = await textOfTemporal(stack.temporal.address);
  expect(addressesIn(temporal)).toEqual([]);
  // The walk reaches the payloads.
  expect(temporal.includes(`"workspaceId":"${world.workspaceId}"`)).toBe(true);
  const logs = textOfLogs(stack.logs());
  expect(addressesIn(logs)).toEqual([]);
  expect(logs.length).toBeGreaterThan(10_000);
});
