import { NativeConnection, Worker } from '@temporalio/worker';
import { Client } from 'pg';
import { createCampaignActivities } from '../../activities/campaigns';
import { FailureInterceptor } from '../../activities/runtime/failure-interceptor';
import { CONTROL_TASK_QUEUE } from '../../domain/shared/task-queues';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';
import type { TestApi } from './api';
import type { World } from './examples';
import { approvedCampaign } from './examples/content';
import { temporalAddress, workflowBundle } from './stack';
import { readUntil } from './until';

/** A control worker with the campaigns' activities only: lanes are not drained, tests settle rows by themselves. */
export async function startCampaignWorker(api: TestApi): Promise<() => Promise<void>> {
  const connection = await NativeConnection.connect({ address: await temporalAddress() });
  const worker = await Worker.create({
    connection,
    namespace: api.namespace,
    taskQueue: CONTROL_TASK_QUEUE,
    workflowBundle: await workflowBundle(),
    activities: createCampaignActivities({ ...api.deps, db: api.db }),
    interceptors: {
      activity: [(context) => ({ inbound: new FailureInterceptor(api.deps.log, context.info.activityType) })],
    },
  });
  const running = worker.run();
  return async () => {
    worker.shutdown();
    await running;
    await connection.close();
  };
}

/** From so many contacts on their table is analysed before anything refers to them. */
const MANY = 1_000;
/** More in one statement may take a slow machine longer than a statement may last. */
const SLICE = 10_000;

/** Inserts contacts `prefix0@gmail.com`, … with a granted consent each; their ids in order. */
export async function addConsented(world: World, count: number, prefix = 'reader'): Promise<string[]> {
  const { db, workspace, api } = world;
  const emails = Array.from(
    { length: count },
    (_, index) => `${prefix}${index}@${index % 2 ? 'gmail.com' : 'corp.example'}`,
  );
  const ids: string[] = [];
  for (const slice of slicesOf(emails)) {
    const rows = await many<{ id: string }>(
      db,
      sql`INSERT INTO contacts (workspace_id, email, email_hash, first_name)
          SELECT ${workspace.id}, v.email, v.hash, 'Ada' FROM unnest(${slice}::text[],
            ${slice.map((email) => api.deps.addressHasher.hash(email))}::bytea[]) AS v (email, hash)
          RETURNING id`,
    );
    ids.push(...rows.map(({ id }) => id));
  }
  if (count >= MANY) await analyseContacts(api);
  for (const slice of slicesOf(ids)) {
    await db.query(sql`
      INSERT INTO consents (workspace_id, contact_id, purpose_id, status, granted_at, source)
      SELECT ${workspace.id}, contact, p.id, 'granted', sally_now(), 'api'
      FROM unnest(${slice}::uuid[]) AS contact, purposes p WHERE p.workspace_id = ${workspace.id} AND p.key = 'newsletter'`);
  }
  return ids.sort();
}

function slicesOf(list: string[]): string[][] {
  return Array.from({ length: Math.ceil(list.length / SLICE) }, (_, n) => list.slice(n * SLICE, (n + 1) * SLICE));
}

/**
 * Where autovacuum saw the table when it was small, a connection may check each consent's contact by walking all of
 * them, until the table is analysed again.
 */
async function analyseContacts(api: TestApi): Promise<void> {
  const owner = new Client({ connectionString: api.database.ownerUrl });
  await owner.connect();
  await owner.query('ANALYZE contacts').finally(() => owner.end());
}

/** A list with these members. */
export async function audienceOf(world: World, contacts: string[]): Promise<string> {
  const audience = await world.audience();
  await world.db.query(sql`
    INSERT INTO audience_members (workspace_id, audience_id, contact_id)
    SELECT ${world.workspace.id}, ${audience}, contact FROM unnest(${contacts}::uuid[]) AS contact`);
  return audience;
}

/** An approved campaign that was told to send; its id, and that of its run. */
export async function sentOff(world: World, more: Record<string, unknown> = {}) {
  const campaignId = await approvedCampaign(world, more);
  const { body } = await world.call('POST', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/send`);
  return { campaignId, runId: String(body.run_id), workflowId: String(body.workflow.workflow_id) };
}

/** What the delivery engine would do: every queued row of the run is accepted. Counts as it does. */
export async function acceptQueued(db: Queryable, runId: string, limit = 1_000_000): Promise<number> {
  return changed(
    db,
    sql`WITH accepted AS (
          UPDATE deliveries d SET status = 'SENT', sent_at = sally_now()
          WHERE source_id = ${runId} AND id = ANY (ARRAY(
            SELECT id FROM deliveries WHERE source_id = ${runId} AND status = 'QUEUED' ORDER BY id LIMIT ${limit}))
          RETURNING d.workspace_id, d.stream_id, d.lane_id, d.source_id, d.id),
        counted AS (
          INSERT INTO run_counters (workspace_id, stream_id, process_id, queued, sent)
          SELECT workspace_id, stream_id, gen_random_uuid(), -count(*), count(*) FROM accepted GROUP BY 1, 2),
        grouped AS (
          INSERT INTO delivery_groups (workspace_id, claim_id, process_id, lane_id, stream_id, route_id, source_ids,
            delivery_ids, claimed_at, settled_at, accepted)
          SELECT workspace_id, gen_random_uuid(), gen_random_uuid(), lane_id, stream_id, gen_random_uuid(),
            ARRAY[source_id], array_agg(id), sally_now(), sally_now(), count(*)
          FROM accepted GROUP BY workspace_id, lane_id, stream_id, source_id)
        SELECT 1 FROM accepted`,
  );
}

export interface RunState {
  status: string;
  phase: string;
  stop_reason: string | null;
  audience_size: number | null;
}

export async function runState(db: Queryable, runId: string): Promise<RunState> {
  const row = await one<RunState & Record<string, unknown>>(
    db,
    sql`SELECT status, phase, stop_reason, audience_size FROM campaign_runs WHERE id = ${runId}`,
  );
  if (!row) throw new Error('no such run');
  return row;
}

/** Waits until `holds` is true of the run; throws with its last state if that does not come to pass. */
export async function untilRun(db: Queryable, runId: string, holds: (state: RunState) => boolean): Promise<RunState> {
  const state = await readUntil(() => runState(db, runId), holds);
  if (!holds(state)) throw new Error(`the run stands at ${JSON.stringify(state)}`);
  return state;
}

/** Rows of a run by status. */
export async function rowsByStatus(db: Queryable, runId: string): Promise<Record<string, number>> {
  const rows = await many<{ status: string; n: number }>(
    db,
    sql`SELECT status, count(*) AS n FROM deliveries WHERE source_id = ${runId} GROUP BY status`,
  );
  return Object.fromEntries(rows.map((row) => [row.status, row.n]));
}
