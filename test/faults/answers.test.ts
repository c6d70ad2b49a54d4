import { Client } from 'pg';
import { openBreakers } from '../../db/delivery/breakers';
import { enqueueDelivery } from '../../db/delivery/enqueue';
import { laneWorkflow } from '../../domain/delivery/contract';
import { AddressHasher } from '../../platform/crypto';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { createTemporalClient, ensureWorkflow } from '../../platform/temporal';
import { accountOf } from '../support/account';
import { CampaignWorld, SHORT_MAIL } from '../support/campaign-world';
import { type Answer, ScriptedSmtpServer, type StepContext } from '../support/scripted-smtp-server';
import {
  processEnvironment,
  type SpawnedProcess,
  spawnWorker,
  stopTestProcesses,
  type TestDatabase,
  temporalAddress,
  testDatabase,
  testNamespace,
  testSecrets,
} from '../support/stack';
import { readUntil, sleep, until } from '../support/until';
import { addressesIn, textOfLogs, textOfTemporal } from './address-scan';
import { Conservation } from './conservation';

let database: TestDatabase;
let namespace: string;
let owner: Client;
let server: ScriptedSmtpServer;
let worker: SpawnedProcess;
let conservation: Conservation;
const secrets = testSecrets();
const login = { username: 'sally', password: 'p4ssw0rd' };
const worlds: CampaignWorld[] = [];

beforeAll(async () => {
  database = await testDatabase('answers');
  namespace = await testNamespace('answers');
  server = await ScriptedSmtpServer.start({ login });
  owner = new Client({ connectionString: database.ownerUrl });
  await owner.connect();
  const smtpUrl = `smtp://sally:p4ssw0rd@127.0.0.1:${server.port}`;
  worker = await spawnWorker({
    role: 'all',
    env: {
      ...(await processEnvironment({ database, namespace, secrets, smtpUrl })),
      // Longer than a busy machine stands still, and short enough to wait for: what may be lost goes again after it.
      DELIVERY_LEASE_SECONDS: '10',
      WATCHDOG_SECONDS: '2',
    },
  });
  conservation = new Conservation(database.workerUrl);
});

afterEach(() => {
  server.script = () => undefined;
});

afterAll(async () => {
  await conservation.stop();
  await stopTestProcesses();
  for (const world of worlds) await world.close();
  await server.stop();
  await owner.end();
  await database.drop();
});

/** A workspace whose contacts' names say how the server is to treat them; each with an address at another provider. */
async function worldOf(contacts: Record<string, number>): Promise<CampaignWorld> {
  const world = await CampaignWorld.create(
    {
      workerUrl: database.workerUrl,
      temporalAddress: await temporalAddress(),
      namespace,
      suppressionKey: secrets.SALLY_SUPPRESSION_KEY,
    },
    0,
  );
  worlds.push(world);
  for (const [prefix, count] of Object.entries(contacts)) await world.addContacts(count, prefix);
  return world;
}

/**
 * The server's answers at one step by the recipient's name, with the address, as servers like to say it; every other
 * message is accepted.
 */
function answering(answers: Record<string, Partial<Record<StepContext['step'], Answer>>>): void {
  server.script = ({ step, to, line }) => {
    const recipient = step === 'rcpt' ? line.slice(line.indexOf('<') + 1) : to;
    const answer = answers[recipient.replace(/\d*@.*$/s, '')]?.[step];
    return typeof answer === 'string' ? `${answer} <${recipient.replace(/>.*$/s, '')}>` : answer;
  };
}

/** Moves the clock of all rules. */
async function jump(seconds: number): Promise<void> {
  await owner.query(
    `INSERT INTO test_clock (moved_by) VALUES (make_interval(secs => $1))
     ON CONFLICT (only_row) DO UPDATE SET moved_by = test_clock.moved_by + excluded.moved_by`,
    [seconds],
  );
}

interface Row {
  name: string;
  id: string;
  status: string;
  reason: string | null;
  attempts: number;
  data_drops: number;
  waits: number;
}

/** The rows of a run by the recipient's name without its number. */
async function rowsOf(world: CampaignWorld, runId: string): Promise<Row[]> {
  return many<Row>(
    world.db,
    sql`SELECT regexp_replace(split_part(c.email, '@', 1), '[0-9]+$', '') AS name, d.id, d.status, d.reason, d.attempts, d.data_drops,
          extract(epoch FROM d.not_before - coalesce(d.last_attempt_at, d.created_at))::float8 AS waits
        FROM deliveries d JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id
        WHERE d.source_id = ${runId} ORDER BY 1`,
  );
}

async function rowOf(world: CampaignWorld, runId: string, name: string): Promise<Row> {
  const found = (await rowsOf(world, runId)).find((row) => row.name === name);
  if (!found) throw new Error(`no row of ${name}`);
  return found;
}

test('5xx at RCPT fails the row and suppresses for the listed codes only; 450 waits five minutes', async () => {
  const world = await worldOf({ user: 30, gone: 1, policy: 1, other: 1, later: 1, full: 1 });
  answering({
    gone: { rcpt: '550 5.1.1 No such user' },
    policy: { rcpt: '550 5.7.1 Not from you' },
    other: { rcpt: '550 5.4.6 Loop' },
    later: { rcpt: '450 4.2.0 Later please' },
    full: { rcpt: '552 5.2.2 Mailbox full' },
  });
  const runId = await world.startCampaign(SHORT_MAIL);
  await until(
    'all are tried',
    async () => (await rowsOf(world, runId)).filter((row) => row.status === 'SENT').length === 30,
  );
  await until('all are settled', async () => {
    const rows = await rowsOf(world, runId);
    return rows.every((row) => row.status !== 'SENDING' && (row.name === 'user' || row.attempts === 1));
  });
  expect(await rowOf(world, runId, 'gone')).toMatchObject({ status: 'FAILED', reason: 'ADDRESS_REJECTED' });
  expect(await rowOf(world, runId, 'policy')).toMatchObject({ status: 'FAILED', reason: 'SENDER_REJECTED' });
  expect(await rowOf(world, runId, 'other')).toMatchObject({ status: 'FAILED', reason: 'ADDRESS_REJECTED' });
  for (const name of ['later', 'full']) {
    const row = await rowOf(world, runId, name);
    expect(row).toMatchObject({ status: 'QUEUED', reason: 'RETRY', attempts: 1 });
    expect(row.waits).toBeGreaterThanOrEqual(300);
    expect(row.waits).toBeLessThan(320);
  }
  await until('the suppression is written', async () => (await suppressed(world)).length > 0);
  expect(await suppressed(world)).toEqual([{ name: 'gone', state: 'ACTIVE', status: 'BOUNCED' }]);
  answering({});
  await jump(301);
  const counts = await world.untilSent(runId);
  expect(counts.byStatus).toEqual({ SENT: 32, FAILED: 3 });
  expect(await accountOf(world, runId, server.tokens)).toMatchObject({ duplicates: 0, lost: 0, denied: 0 });
});

function suppressed(world: CampaignWorld): Promise<{ name: string; state: string; status: string }[]> {
  return many(
    world.db,
    sql`SELECT regexp_replace(split_part(c.email, '@', 1), '[0-9]+$', '') AS name, s.state, c.status
        FROM suppressions s JOIN contacts c ON c.workspace_id = s.workspace_id AND c.email_hash = s.address_hash
        WHERE s.workspace_id = ${world.workspaceId} ORDER BY 1`,
  );
}

test('421, 452 and drops before the final dot burn no attempt', async () => {
  const world = await worldOf({ user: 12, busy: 1 });
  // One more at each of two other mailbox providers: addContacts begins with gmail.com.
  await world.db.query(
    sql`UPDATE contacts SET email = replace(email, 'gmail.com', 'outlook.com') WHERE email LIKE 'busy%'`,
  );
  await world.addContacts(1, 'early');
  await world.addContacts(1, 'amid');
  let early = 0;
  // With RCPT accepted it is inside the row's own DATA: nothing of the content was passed on yet.
  const amid = { data: { drop: true } } as const;
  answering({ busy: { rcpt: '452 4.3.1 Too much' }, amid });
  const script = server.script;
  // A connection that ends before DATA has harmed nobody, and says nothing against the recipient.
  server.script = (context) => {
    if (context.step === 'mail' && early < 2 && context.messageOnConnection > 1) {
      early += 1;
      return { drop: true };
    }
    // At every try, so that nobody has to look at the right moment.
    if (context.step === 'rcpt' && context.line.includes('<early')) {
      early = 2;
      return { reply: '421 4.3.2 Closing', thenClose: true };
    }
    return script(context);
  };
  const runId = await world.startCampaign(SHORT_MAIL);
  const settled = (name: string, reason: string) =>
    readUntil(
      () => rowOf(world, runId, name),
      (row) => row.reason === reason,
    );
  const [busy, early421, cut] = await Promise.all([
    settled('busy', 'THROTTLED'),
    settled('early', 'THROTTLED'),
    settled('amid', 'DROPPED_IN_DATA'),
  ]);
  expect([busy, early421]).toMatchObject(Array(2).fill({ reason: 'THROTTLED', attempts: 0 }));
  // A drop inside its own DATA delays a row by a minute; the third in a row counts as an attempt and sends it alone.
  expect(cut).toMatchObject({ status: 'QUEUED', reason: 'DROPPED_IN_DATA', attempts: 0, data_drops: 1 });
  await world.pause(runId);
  const { rows } = await world.db.query<{ attempts: number }>(
    sql`SELECT attempts FROM deliveries WHERE source_id = ${runId}`,
  );
  expect(new Set(rows.map((row) => row.attempts))).toEqual(new Set([0]));
  expect(await accountOf(world, runId, server.tokens)).toMatchObject({ duplicates: 0, denied: 0, unconfirmed: 0 });
});

test('a row whose DATA drops three times has used an attempt and is sent alone', async () => {
  const world = await worldOf({ user: 6, poison: 1, after: 3 });
  answering({ poison: { data: { drop: true } } });
  const runId = await world.startCampaign(SHORT_MAIL);
  for (const drops of [1, 2]) {
    await until(`drop ${drops}`, async () => (await rowOf(world, runId, 'poison')).data_drops === drops);
    expect(await rowOf(world, runId, 'poison')).toMatchObject({ status: 'QUEUED', attempts: 0 });
    await jump(61);
  }
  await until('the third drop', async () => (await rowOf(world, runId, 'poison')).attempts === 1);
  const { id } = await rowOf(world, runId, 'poison');
  answering({});
  await jump(360);
  const { byStatus } = await world.untilSent(runId);
  expect(byStatus).toEqual({ SENT: 10 });
  const last = await one<{ size: number }>(
    world.db,
    sql`SELECT cardinality(delivery_ids) AS size FROM delivery_groups WHERE ${id} = ANY (delivery_ids) ORDER BY claimed_at DESC LIMIT 1`,
  );
  expect(last).toEqual({ size: 1 });
  expect(await accountOf(world, runId, server.tokens)).toMatchObject({ duplicates: 0, lost: 0 });
});

test('a drop after the final dot: bulk is unconfirmed and does not hold up the run', async () => {
  const world = await worldOf({ user: 10, unknown: 2 });
  answering({ unknown: { dot: { drop: true, accepted: true } } });
  const runId = await world.startCampaign(SHORT_MAIL);
  const { byStatus } = await world.untilSent(runId);
  expect(byStatus).toEqual({ SENT: 10, UNCONFIRMED: 2 });
  expect(await rowOf(world, runId, 'unknown')).toMatchObject({ reason: 'NO_REPLY' });
  expect(await accountOf(world, runId, server.tokens)).toMatchObject({ duplicates: 0, lost: 0, denied: 0 });
});

test('a drop after the final dot: transactional mail goes again under the same Message-ID', async () => {
  const world = await worldOf({ user: 1 });
  // Its frozen content will do.
  const runId = await world.startCampaign(SHORT_MAIL);
  await world.untilSent(runId);
  const run = await one<{ message_id: string }>(
    world.db,
    sql`SELECT message_id FROM campaign_runs WHERE id = ${runId}`,
  );
  let dots = 0;
  server.script = ({ step }) => (step === 'dot' && ++dots === 1 ? { drop: true, accepted: true } : undefined);
  const sourceId = uuidv7();
  const address = 'order@shop.example.org';
  const sent = server.accepted.length;
  const { laneId } = await world.db.transaction((tx) =>
    enqueueDelivery(tx, {
      workspaceId: world.workspaceId,
      sourceType: 'TRANSACTIONAL',
      sourceId,
      stepKey: 'mail',
      contactId: null,
      address,
      recipientName: null,
      addressHash: new AddressHasher(secrets.SALLY_SUPPRESSION_KEY).hash(address),
      emailDomain: 'shop.example.org',
      messageId: run?.message_id ?? '',
      context: null,
      expiresAt: null,
    }),
  );
  const temporal = createTemporalClient({ address: await temporalAddress(), namespace });
  await ensureWorkflow(temporal.client, laneWorkflow({ workspaceId: world.workspaceId, laneId }));
  await until('it is sent', async () => {
    const row = await one<{ status: string }>(
      world.db,
      sql`SELECT status FROM deliveries WHERE source_id = ${sourceId}`,
    );
    return row?.status === 'SENT';
  });
  await temporal.close();
  const tokens = server.accepted.slice(sent).map(({ token }) => token);
  expect(tokens).toHaveLength(2);
  expect(new Set(tokens).size).toBe(1);
});

test('535 opens the breaker, harms no recipient, and sending goes on by itself when the log-in works', async () => {
  const world = await worldOf({ user: 40 });
  login.password = 'changed';
  server.dropAll();
  const runId = await world.startCampaign(SHORT_MAIL);
  const breaker = () =>
    one<{ state: string; reason: string | null }>(
      world.db,
      sql`SELECT state, reason FROM breakers WHERE workspace_id = ${world.workspaceId}`,
    );
  await until('the breaker is open', async () => (await breaker())?.state === 'OPEN');
  expect(await breaker()).toEqual({ state: 'OPEN', reason: 'AUTHENTICATION' });
  await until('nothing is open', async () => (await rowsOf(world, runId)).every((row) => row.status === 'QUEUED'));
  expect((await rowsOf(world, runId)).map((row) => row.attempts)).toEqual(Array(40).fill(0));
  login.password = 'p4ssw0rd';
  await jump(31);
  const { byStatus } = await world.untilSent(runId);
  expect(byStatus).toEqual({ SENT: 40 });
  expect(await breaker()).toMatchObject({ state: 'CLOSED' });
  expect(await accountOf(world, runId, server.tokens)).toMatchObject({ duplicates: 0, lost: 0 });
});

test('a server that dies every tenth message', async () => {
  const world = await worldOf({ user: 100 });
  let contents = 0;
  server.script = ({ step }) => {
    if (step !== 'content' || ++contents % 10 !== 0) return undefined;
    server.dropAll();
    return { drop: true };
  };
  const runId = await world.startCampaign(SHORT_MAIL);
  let done = false;
  const sent = world.untilSent(runId).finally(() => {
    done = true;
  });
  while (!done) {
    await sleep(1_500);
    // Rows whose own DATA was cut wait a minute, a breaker that was opened waits seconds.
    await jump(61);
  }
  await sent;
  const account = await accountOf(world, runId, server.tokens);
  expect(account).toMatchObject({ rows: 100, duplicates: 0, lost: 0, denied: 0 });
  expect(account.byStatus.FAILED).toBeUndefined();
});

test('more than one in five refused for good: the breaker opens and the suppressions are held', async () => {
  const world = await worldOf({ gone: 60 });
  answering({ gone: { rcpt: '550 5.1.1 No such user' } });
  const runId = await world.startCampaign(SHORT_MAIL);
  const breaker = () =>
    one<{ state: string; reason: string | null }>(
      world.db,
      sql`SELECT state, reason FROM breakers WHERE workspace_id = ${world.workspaceId}`,
    );
  await until('the breaker is open', async () => (await breaker())?.state === 'OPEN');
  expect(await breaker()).toEqual({ state: 'OPEN', reason: 'PERMANENT_FAILURES' });
  // A claim that was under way when the breaker opened may still put a group to SENDING and take it back.
  const settled = async (): Promise<Row[] | null> => {
    const rows = await rowsOf(world, runId);
    const failed = rows.filter((row) => row.status === 'FAILED');
    const quiet = rows.every((row) => row.status !== 'SENDING') && (await suppressed(world)).length === failed.length;
    return quiet ? failed : null;
  };
  await until('nothing is under way and every suppression is written', async () => (await settled()) !== null);
  await sleep(500);
  await until('it stays so', async () => (await settled()) !== null);
  const failed = (await rowsOf(world, runId)).filter((row) => row.status === 'FAILED');
  expect(failed.length).toBeGreaterThanOrEqual(5);
  expect(new Set((await suppressed(world)).map(({ state, status }) => `${state} ${status}`))).toEqual(
    new Set(['HELD ACTIVE']),
  );
  // The rest waits for the probe.
  expect((await rowsOf(world, runId)).filter((row) => row.status === 'QUEUED')).toHaveLength(60 - failed.length);
  // The sender's breaker is open, not the provider's.
  expect(await openBreakers(world.db, world.workspaceId)).toEqual([
    expect.objectContaining({ fromEmail: 'news@sender.example', reason: 'PERMANENT_FAILURES' }),
  ]);
  // A probe that is refused for good costs one recipient, whose suppression is held, too; the next waits twice as long.
  const waits = () =>
    one<{ state: string; failures: number; minutes: number }>(
      world.db,
      sql`SELECT state, failures, round(extract(epoch FROM probe_at - updated_at) / 60)::int AS minutes
          FROM breakers WHERE workspace_id = ${world.workspaceId}`,
    );
  expect(await waits()).toEqual({ state: 'OPEN', failures: 1, minutes: 5 });
  await world.db.query(sql`UPDATE breakers SET probe_at = sally_now() WHERE workspace_id = ${world.workspaceId}`);
  await until('it is open again', async () => (await waits())?.failures === 2);
  expect(await waits()).toEqual({ state: 'OPEN', failures: 2, minutes: 10 });
  await until('the suppression is written', async () => (await settled())?.length === failed.length + 1);
  expect((await suppressed(world)).every(({ state, status }) => state === 'HELD' && status === 'ACTIVE')).toBe(true);
  await sleep(1_000);
  expect((await rowsOf(world, runId)).filter((row) => row.status === 'FAILED')).toHaveLength(failed.length + 1);
});

test('the ledger added up at every moment', async () => {
  const { polls, imbalances } = await conservation.stop();
  expect(imbalances).toEqual([]);
  expect(polls).toBeGreaterThan(100);
});

test('no address in what Temporal keeps, in the log, in the diagnostics', async () => {
  expect(addressesIn(await textOfTemporal(await temporalAddress(), namespace))).toEqual([]);
  const log = textOfLogs([worker.process.logFile]);
  expect(addressesIn(log)).toEqual([]);
  expect(log.length).toBeGreaterThan(1_000);
  const { rows } = await owner.query(`
    SELECT count(*) FILTER (WHERE diagnostic LIKE '%No such user%')::int AS told,
      count(*) FILTER (WHERE diagnostic LIKE '%@%')::int AS addresses FROM delivery_attempts`);
  expect(rows[0]).toMatchObject({ told: expect.any(Number), addresses: 0 });
  expect(rows[0].told).toBeGreaterThan(0);
});
