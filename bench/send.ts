import { generateKeyPairSync } from 'node:crypto';
import { Client } from 'pg';
import { campaignRunWorkflowId } from '../domain/campaigns/contract';
import { laneWorkflowId } from '../domain/delivery/contract';
import { one, sql } from '../platform/postgres';
import { NEWSLETTER } from '../test/support/campaign-world';
import { conditions, peakMemoryOf } from './measure';
import { type ReferenceMessage, sendWithNodemailer } from './reference-nodemailer';
import { cpuPerMessage, DKIM, type Reading, SendingStack, type TemporalCost } from './sending-stack';

/** Budget (design, section 11): times nodemailer's own pool. */
const BUDGET = 5;
/** The same with RSA-2048 signatures on both sides. */
const SIGNED_BUDGET = 3;
/** Below this rate of the reference the machine is too busy for a figure. */
const LEAST_REFERENCE = 1_000;
const ROUNDS = 3;
/** Campaigns beyond this size are sent once, and their cost is shown for each tenth. */
const LONG = 100_000;

interface Round {
  perSecond: number;
  cpu: Record<string, number>;
  walBytesPerMessage: number;
  temporal: TemporalCost;
  peakMemoryBytes: number;
  /** Of long campaigns: what each tenth cost. */
  tenths: Tenth[];
}

interface Tenth {
  perSecond: number;
  cpu: Record<string, number>;
  walBytesPerMessage: number;
}

function referenceMessage(n: number): ReferenceMessage {
  const fill = (text: string) =>
    text
      .replaceAll(/\{\{ first_name[^}]*\}\}/g, 'Ada')
      .replaceAll('{{ unsubscribe_url }}', `https://example.com/u/${n}`);
  return {
    from: { name: 'Sender', address: 'news@sender.example' },
    to: { name: 'Ada Lovelace', address: `user${n}@example.org` },
    subject: fill(NEWSLETTER.subject),
    text: fill(NEWSLETTER.text),
    html: fill(NEWSLETTER.html),
    messageId: `<reference.${n}@sender.example>`,
    headers: {
      'List-Unsubscribe': `<https://example.com/u/${n}>`,
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    },
  };
}

/** Readings as a campaign passes each tenth; ends when `done` says so. */
async function watchTenths(stack: SendingStack, runId: string, size: number, done: () => boolean): Promise<Tenth[]> {
  const tenths: Tenth[] = [];
  let before = { ...(await stack.read()), sent: 0 };
  while (!done() && tenths.length < 9) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const sent = await stack.world.sentSoFar(runId);
    if (sent < (size * (tenths.length + 1)) / 10) continue;
    const after = { ...(await stack.read()), sent };
    tenths.push(tenthBetween(before, after));
    before = after;
  }
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 50));
  tenths.push(tenthBetween(before, { ...(await stack.read()), sent: size }));
  return tenths;
}

function tenthBetween(before: Reading & { sent: number }, after: Reading & { sent: number }): Tenth {
  const messages = after.sent - before.sent;
  return {
    perSecond: Math.round(messages / ((after.at - before.at) / 1_000)),
    cpu: cpuPerMessage(before, after, messages),
    walBytesPerMessage: Math.round((after.wal - before.wal) / messages),
  };
}

async function round(stack: SendingStack, size: number): Promise<Round> {
  await stack.sink.reset();
  const before = await stack.read();
  const since = new Date(Date.now() - 1_000);
  const started = performance.now();
  const runId = await stack.world.startCampaign();
  let ended = false;
  const sent = stack.world.untilSent(runId, Math.max(300_000, size)).finally(() => {
    ended = true;
  });
  const [counts, tenths] = await Promise.all([
    sent,
    size > LONG ? watchTenths(stack, runId, size, () => ended) : Promise.resolve([]),
  ]);
  const seconds = (performance.now() - started) / 1000;
  const after = await stack.read();
  const seen = await stack.sink.counts();
  if (counts.byStatus.SENT !== size || seen.tokens !== size || seen.duplicates !== 0) {
    throw new Error(`unequal counts: ${JSON.stringify({ counts, seen })}`);
  }
  const lane = await one<{ id: string }>(
    stack.db,
    sql`SELECT id FROM lanes WHERE workspace_id = ${stack.world.workspaceId} AND kind = 'pool'`,
  );
  const cost = await stack.temporalCost([campaignRunWorkflowId(runId), laneWorkflowId(lane?.id ?? '')], since);
  return {
    perSecond: Math.round(size / seconds),
    cpu: cpuPerMessage(before, after, size),
    walBytesPerMessage: Math.round((after.wal - before.wal) / size),
    temporal: cost,
    peakMemoryBytes: Math.max(...[stack.delivery, ...stack.others].map(({ pid }) => peakMemoryOf(pid))),
    tenths,
  };
}

/** A campaign from its start to all SENT, through the whole ledger, against nodemailer's pool at the same sink. */
export async function benchSend(options: {
  size?: number;
  latencyMs?: number;
  window?: number;
  groupSize?: number;
  connections?: number;
  profile?: boolean;
  dkim?: boolean;
  /** Delivery processes; default 1. */
  processes?: number;
  /** Default 3; 1 for long campaigns. */
  rounds?: number;
}): Promise<void> {
  const size = options.size ?? 50_000;
  const before = conditions();
  const wanted = options.profile ? 2 : (options.rounds ?? (size > LONG ? 1 : ROUNDS));
  const env = {
    ...(options.window ? { DELIVERY_WINDOW: String(options.window) } : {}),
    ...(options.groupSize ? { DELIVERY_GROUP_SIZE: String(options.groupSize) } : {}),
    ...(options.connections ? { SMTP_CONNECTIONS: String(options.connections) } : {}),
  };
  const privateKey = options.dkim
    ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    : undefined;
  const stack = await SendingStack.start(size, {
    env,
    dkimPrivateKey: privateKey,
    statements: options.profile,
    processes: options.processes,
    sinkFlags: options.latencyMs ? ['--latency', String(options.latencyMs)] : [],
  });
  try {
    if (options.profile) {
      await stack.stopDelivery();
      await stack.restartDelivery(env, ['--cpu-prof', '--cpu-prof-dir=.sally/profiles']);
    }
    const rounds: Round[] = [];
    const references: number[] = [];
    for (let n = 0; n < wanted; n += 1) {
      rounds.push(await round(stack, size));
      if (options.profile) {
        console.log(rounds.at(-1));
        await printStatements(stack);
        if (n === 0) continue;
        break;
      }
      await stack.sink.reset();
      // At 50 ms of latency each of its connections sends about ten a second: ten seconds of it are enough.
      const atLatency = ((options.connections ?? 10) * 5_000) / (options.latencyMs ?? 1);
      const count = Math.min(size, options.latencyMs ? Math.max(200, Math.round(atLatency)) : 10_000);
      const reference = await sendWithNodemailer({
        port: stack.sink.port,
        count,
        connections: options.connections ?? 10,
        message: referenceMessage,
        dkim: privateKey ? { domainName: DKIM.domain, keySelector: DKIM.selector, privateKey } : null,
      });
      references.push(Math.round(reference.perSecond));
      console.log(
        `round ${n + 1}: ${rounds.at(-1)?.perSecond}/s; nodemailer ${references.at(-1)}/s; CPU ms a message: ${JSON.stringify(rounds.at(-1)?.cpu)}`,
      );
    }
    report(size, rounds, references, options, before);
  } finally {
    await stack.stop();
  }
}

/** Where Postgres spent its time, by statement. */
async function printStatements(stack: SendingStack): Promise<void> {
  const admin = new Client({
    connectionString: stack.postgres.server.adminUrl.replace(/\/postgres$/, `/${stack.database}`),
  });
  await admin.connect();
  await admin.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
  const { rows } = await admin.query(
    `SELECT calls, round(total_exec_time::numeric) AS ms, round(mean_exec_time::numeric, 2) AS mean_ms, rows,
    regexp_replace(left(query, 110), '\\s+', ' ', 'g') AS statement FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1) ORDER BY total_exec_time DESC LIMIT 15`,
    [stack.database],
  );
  console.table(rows);
  await admin.end();
}

/** The sink's part of all CPU time: what it takes, the product cannot have on the same machine. */
function sinkShare(cpu: Record<string, number>): number {
  const all = Object.values(cpu).reduce((sum, ms) => sum + ms, 0);
  return all === 0 ? 0 : Math.round(((cpu.sink ?? 0) / all) * 100) / 100;
}

function report(
  size: number,
  rounds: Round[],
  references: number[],
  options: { dkim?: boolean; latencyMs?: number; processes?: number },
  before: ReturnType<typeof conditions>,
): void {
  const [first] = rounds;
  if (!first) return;
  const best = rounds.reduce((left, right) => (right.perSecond > left.perSecond ? right : left), first);
  const reference = Math.max(0, ...references);
  const ratio = reference > 0 ? Math.round((best.perSecond / reference) * 100) / 100 : null;
  // With signatures the reference is slower by nature: whether the machine is quiet is told by the run without.
  const valid = options.dkim === true || Boolean(options.latencyMs) || reference >= LEAST_REFERENCE;
  const budget = options.dkim ? SIGNED_BUDGET : BUDGET;
  const processes = options.processes ?? 1;
  best.tenths.forEach((tenth, n) => {
    console.log(
      `tenth ${n + 1}: ${tenth.perSecond}/s; WAL ${tenth.walBytesPerMessage} B; CPU ms: ${JSON.stringify(tenth.cpu)}`,
    );
  });
  console.log(
    `A campaign of ${size} messages runs at ${best.perSecond}/s from its start to all SENT` +
      `${processes > 1 ? ` with ${processes} delivery processes` : ''}, the sink taking ${Math.round(sinkShare(best.cpu) * 100)} % of the CPU; nodemailer's pool at the same sink: ${reference}/s` +
      `${ratio ? `, a ratio of ${ratio}` : ''}${valid ? '' : ' (void: the reference is under 1,000/s, the machine is too busy)'}.`,
  );
  console.log(
    JSON.stringify({
      name: 'send',
      value: best.perSecond,
      unit: 'messages/s',
      reference,
      ratio,
      details: {
        valid,
        met: ratio !== null && ratio >= budget,
        budget,
        messages: size,
        options,
        rounds: rounds.map((each) => each.perSecond),
        referenceRounds: references,
        cpuMsPerMessage: best.cpu,
        peakMemoryBytes: Math.max(...rounds.map((each) => each.peakMemoryBytes)),
        walBytesPerMessage: best.walBytesPerMessage,
        sinkShareOfCpu: sinkShare(best.cpu),
        processes,
        temporalActions: best.temporal.actions / size,
        temporal: best.temporal,
        tenths: best.tenths,
        ...before,
      },
    }),
  );
}
