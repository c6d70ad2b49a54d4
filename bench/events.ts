import { uuidv7 } from '../platform/ids';
import { one, sql } from '../platform/postgres';
import { ApiStack, costPerUnit, ownerKey } from './api-stack';
import { startLoad } from './load/client';
import type { LoadReport } from './load/load';
import { conditions, peakMemoryOf } from './measure';

/** Budget: events per second through POST …/events/batch of one API process, durable when answered. */
const BUDGET = 3_000;
const BATCH = 100;
const CONNECTIONS = 4;
const CONTACTS = 10_000;
const ROUNDS = 3;
const WARM_UP = 20;

interface BenchEvent {
  event_id: string;
  event_type: string;
  contact_id: string;
  occurred_at: string;
  payload: object;
}

/** Batches of events with ids of their own, about 250 bytes each. */
function makeBatches(contacts: readonly string[], count: number): BenchEvent[][] {
  const types = ['page_viewed', 'cart_updated', 'purchase', 'trial_started'];
  const now = Date.now();
  return Array.from({ length: count }, (_, batch) =>
    Array.from({ length: BATCH }, (_, index) => {
      const n = batch * BATCH + index;
      return {
        event_id: uuidv7(),
        event_type: types[n % types.length] ?? '',
        contact_id: contacts[Math.imul(n, 7_919) % contacts.length] ?? '',
        occurred_at: new Date(now - (n % 86_400) * 1_000).toISOString(),
        payload: { amount: n % 500, currency: 'EUR', page: `/offers/${n % 97}`, campaign: 'spring' },
      };
    }),
  );
}

/** The same rows by one plain INSERT and COMMIT for each batch: what this database could take at most. */
async function insertPlainly(stack: ApiStack, batches: readonly BenchEvent[][]): Promise<number> {
  let next = 0;
  const started = performance.now();
  const writer = async () => {
    for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) {
      await stack.db.query(sql`
        INSERT INTO marketing_events (event_id, workspace_id, event_type, contact_id, payload, created_at)
        SELECT id, ${stack.workspaceId}, event_type, contact_id, payload, occurred_at
        FROM unnest(${batch.map(() => uuidv7())}::uuid[], ${batch.map((e) => e.event_type)}::text[],
          ${batch.map((e) => e.contact_id)}::uuid[], ${batch.map((e) => JSON.stringify(e.payload))}::jsonb[],
          ${batch.map((e) => e.occurred_at)}::timestamptz[]) AS given (id, event_type, contact_id, payload, occurred_at)`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, writer));
  return Math.round((batches.length * BATCH) / ((performance.now() - started) / 1_000));
}

async function countEvents(stack: ApiStack): Promise<number> {
  const row = await one<{ n: number }>(stack.db, sql`SELECT count(*) AS n FROM marketing_events`);
  return row?.n ?? 0;
}

/** Intake over HTTP in batches of 100 against one API process. `size`: events per round. */
export async function benchEvents(options: { size?: number; profile?: boolean }): Promise<void> {
  const before = conditions();
  const batches = Math.max(10, Math.round((options.size ?? 50_000) / BATCH));
  const stack = await ApiStack.start('bench events', options.profile ?? false);
  try {
    const contacts = await stack.addContacts(CONTACTS);
    const order = {
      port: stack.port,
      connections: CONNECTIONS,
      method: 'POST' as const,
      paths: [`/workspaces/${stack.workspaceId}/events/batch`],
      headers: { Authorization: `Bearer ${await ownerKey(stack.db, stack.workspaceId)}` },
      status: 200,
      requests: batches,
      warmUp: WARM_UP,
      tell: false,
    };
    const bodies = (count: number) => makeBatches(contacts, count).map((events) => JSON.stringify({ events }));
    const rounds: (LoadReport & { eventsPerSecond: number; cost: ReturnType<typeof costPerUnit> })[] = [];
    const references: number[] = [];
    let stored = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      references.push(await insertPlainly(stack, makeBatches(contacts, batches)));
      stored += batches * BATCH;
      const start = await stack.used();
      const report = await startLoad({ ...order, bodies: bodies(batches + WARM_UP) }).done;
      const taken = (batches + WARM_UP) * BATCH;
      const perSecond = Math.round((report.answers * BATCH) / report.seconds);
      const cost = costPerUnit(start, await stack.used(), taken);
      stored += taken;
      rounds.push({ ...report, eventsPerSecond: perSecond, cost });
      const found = await countEvents(stack);
      if (report.wrong > 0 || found !== stored) {
        throw new Error(`${report.wrong} wrong answers; ${found} events stored, ${stored} expected`);
      }
      console.log(`round ${round + 1}: ${perSecond}/s; plain INSERT ${references.at(-1)}/s; ${JSON.stringify(cost)}`);
    }
    const memory = peakMemoryOf(stack.api.pid);
    const killed = await killWhileTaking(stack, { ...order, bodies: bodies(batches), warmUp: 0, tell: true });
    const best = rounds.reduce((left, right) => (right.eventsPerSecond > left.eventsPerSecond ? right : left));
    const reference = Math.max(...references);
    console.log(
      `One API process takes in ${best.eventsPerSecond} events/s in batches of ${BATCH} over ${CONNECTIONS} connections, ` +
        `p99 ${best.p99Ms} ms a batch (the same rows by plain INSERTs without ids, checks and audit: ${reference}/s); ` +
        `kill -9 after ${killed.answered} answered batches lost ${killed.lost}.`,
    );
    console.log(
      JSON.stringify({
        name: 'events',
        value: best.eventsPerSecond,
        unit: 'events/s',
        reference,
        ratio: Math.round((best.eventsPerSecond / reference) * 1_000) / 1_000,
        details: {
          met: best.eventsPerSecond >= BUDGET && killed.lost === 0,
          budget: BUDGET,
          eventsPerRound: batches * BATCH,
          batch: BATCH,
          connections: CONNECTIONS,
          p50Ms: best.p50Ms,
          p99Ms: best.p99Ms,
          rounds: rounds.map((round) => round.eventsPerSecond),
          referenceRounds: references,
          costPerEvent: best.cost,
          apiPeakMemoryBytes: memory,
          kill: killed,
          ...before,
        },
      }),
    );
    if (killed.lost > 0) throw new Error('answered events are not stored');
  } finally {
    await stack.stop();
  }
}

/** kill -9 in the middle of intake: every answered batch must be stored. */
async function killWhileTaking(
  stack: ApiStack,
  order: Parameters<typeof startLoad>[0],
): Promise<{ answered: number; lost: number }> {
  const before = await countEvents(stack);
  const load = startLoad(order);
  const enough = Math.min(50, order.requests / 2);
  while (load.answered.length < enough) await new Promise((resolve) => setTimeout(resolve, 1));
  process.kill(stack.api.pid, 'SIGKILL');
  await load.done;
  const answered = load.answered.length;
  // Batches that were under way may be stored as well; those that were answered must be.
  const stored = Math.floor(((await countEvents(stack)) - before) / BATCH);
  return { answered, lost: Math.max(0, answered - stored) };
}
