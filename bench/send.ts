import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { Client } from 'pg';
import { campaignRunWorkflowId } from '../domain/campaigns/contract';
import { laneWorkflowId } from '../domain/delivery/contract';
import { one, sql } from '../platform/postgres';
import { NEWSLETTER } from '../test/support/campaign-world';
import { type ReferenceMessage, sendWithNodemailer } from './reference-nodemailer';
import { cpuPerMessage, DKIM, SendingStack } from './sending-stack';

/** Budget (design, section 11): times nodemailer's own pool. */
const BUDGET = 5;
/** The same with RSA-2048 signatures on both sides. */
const SIGNED_BUDGET = 3;
/** Below this rate of the reference the machine is too busy for a figure. */
const LEAST_REFERENCE = 1_000;
const ROUNDS = 3;

interface Round {
  perSecond: number;
  cpu: Record<string, number>;
  walBytesPerMessage: number;
  temporalActionsPerMessage: number;
  events: number;
  peakMemoryBytes: number;
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

/** VmHWM of a process, in bytes. */
function peakMemory(pid: number): number {
  const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) * 1024;
}

async function round(stack: SendingStack, size: number): Promise<Round> {
  await stack.sink.reset();
  const before = await stack.read();
  const started = performance.now();
  const runId = await stack.world.startCampaign();
  const counts = await stack.world.untilSent(runId, 300_000);
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
  const cost = await stack.temporalCost([campaignRunWorkflowId(runId), laneWorkflowId(lane?.id ?? '')]);
  return {
    perSecond: Math.round(size / seconds),
    cpu: cpuPerMessage(before, after, size),
    walBytesPerMessage: Math.round((after.wal - before.wal) / size),
    temporalActionsPerMessage: cost.actions / size,
    events: cost.events,
    peakMemoryBytes: peakMemory(stack.delivery.pid),
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
}): Promise<void> {
  const size = options.size ?? 50_000;
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
    sinkFlags: options.latencyMs ? ['--latency', String(options.latencyMs)] : [],
  });
  try {
    if (options.profile) {
      await stack.stopDelivery();
      await stack.restartDelivery(env, ['--cpu-prof', '--cpu-prof-dir=.sally/profiles']);
    }
    const rounds: Round[] = [];
    const references: number[] = [];
    for (let n = 0; n < (options.profile ? 2 : ROUNDS); n += 1) {
      rounds.push(await round(stack, size));
      if (options.profile) {
        console.log(rounds.at(-1));
        await printStatements(stack);
        if (n === 0) continue;
        break;
      }
      await stack.sink.reset();
      const count = Math.min(size, options.latencyMs ? 2_000 : 10_000);
      const reference = await sendWithNodemailer({
        port: stack.sink.port,
        count,
        message: referenceMessage,
        dkim: privateKey ? { domainName: DKIM.domain, keySelector: DKIM.selector, privateKey } : null,
      });
      references.push(Math.round(reference.perSecond));
      console.log(
        `round ${n + 1}: ${rounds.at(-1)?.perSecond}/s; nodemailer ${references.at(-1)}/s; CPU ms a message: ${JSON.stringify(rounds.at(-1)?.cpu)}`,
      );
    }
    report(size, rounds, references, options);
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

function report(size: number, rounds: Round[], references: number[], options: { dkim?: boolean }): void {
  const [first] = rounds;
  if (!first) return;
  const best = rounds.reduce((left, right) => (right.perSecond > left.perSecond ? right : left), first);
  const reference = Math.max(0, ...references);
  const ratio = reference > 0 ? Math.round((best.perSecond / reference) * 100) / 100 : null;
  // With signatures the reference is slower by nature: whether the machine is quiet is told by the run without.
  const valid = options.dkim === true || reference >= LEAST_REFERENCE;
  const budget = options.dkim ? SIGNED_BUDGET : BUDGET;
  console.log(
    `A campaign of ${size} messages runs at ${best.perSecond}/s from its start to all SENT; nodemailer's pool at the same sink: ${reference}/s` +
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
        temporalActions: best.temporalActionsPerMessage,
        temporalEvents: best.events,
        cpus: cpus().length,
        node: process.version,
      },
    }),
  );
}

if (require.main === module) {
  const flag = (name: string): number | undefined => {
    const index = process.argv.indexOf(`--${name}`);
    return index < 0 ? undefined : Number(process.argv[index + 1]);
  };
  benchSend({
    size: flag('size'),
    latencyMs: flag('latency'),
    window: flag('window'),
    groupSize: flag('group'),
    connections: flag('connections'),
    profile: process.argv.includes('--profile'),
    dkim: process.argv.includes('--dkim'),
  }).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}
