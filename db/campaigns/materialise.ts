import { MAX_ATTEMPTS, SOURCES } from '../../domain/delivery';
import { changed, type Database, one, type Queryable, type Statement, sql, sqlState } from '../../platform/postgres';
import { type CompiledTree, compileTree, resolveConditions } from '../audiences';
import type { AudienceDefinition } from '../content';
import { wakeLane } from '../delivery';
import { writeAudit } from '../workspace';
import { audiencePage } from './audience-page';
import { raiseAudienceAlert } from './progress';
import { moveRun } from './runs';

/** The counters of what no delivery process did: materialising and sweeping. */
const NO_PROCESS = '00000000-0000-0000-0000-000000000000';

const UNIQUE_VIOLATION = '23505';

/** What one batch did. */
export type MaterialisedBatch =
  /** The run is not SENDING or no longer MATERIALISING: nothing was inserted. */
  | { kind: 'stopped' }
  | {
      kind: 'batch';
      /** Contacts of the audience in this batch's range of ids. */
      audience: number;
      inserted: number;
      /** True: the audience's end was reached, and the run is MATERIALISED. */
      finished: boolean;
      laneId: string;
      /** True: this batch turned the lane on; after its commit, start or wake the lane's workflow. */
      wake: boolean;
    };

interface RunForBatch {
  status: string;
  phase: string;
  cursor: string | null;
  message_id: string;
  stream_id: string;
  lane_id: string;
  audience: AudienceDefinition | null;
  purpose_id: string | null;
  expires_at: Date | null;
  campaign_id: string;
  started_at: Date | null;
  now: Date;
}

/**
 * Inserts one row for each of the next `size` contacts of a run's audience, in one transaction of its own that starts
 * at the run's cursor and moves it: a killed batch leaves nothing, a repeated one goes on. The run row stays locked, so
 * that a cancel waits for this batch and then sweeps everything it inserted.
 *
 * Everybody in the audience gets a row, also who is suppressed or has unsubscribed: they fail at the claim with their
 * reason. `audience_size` grows by the audience's own count of the range, not by the number of inserted rows, so that
 * the ledger compares two independent numbers.
 */
export function materialiseBatch(
  db: Database,
  run: { workspaceId: string; runId: string },
  size: number,
): Promise<MaterialisedBatch> {
  return db.transaction(async (tx) => {
    const row = await one<RunForBatch>(
      tx,
      sql`SELECT r.status, r.phase, r.materialise_cursor AS cursor, r.message_id, r.stream_id, s.lane_id, m.audience,
            m.purpose_id, s.expires_at, r.campaign_id, r.started_at, sally_now() AS now
          FROM campaign_runs r
          JOIN streams s ON s.id = r.stream_id
          JOIN messages m ON m.workspace_id = r.workspace_id AND m.id = r.message_id
          WHERE r.workspace_id = ${run.workspaceId} AND r.id = ${run.runId} FOR NO KEY UPDATE OF r`,
    );
    const audience = row?.audience ?? null;
    if (row?.status !== 'SENDING' || row.phase !== 'MATERIALISING' || audience === null) return { kind: 'stopped' };
    const conditions = await compileConditions(tx, run.workspaceId, row, audience);
    if (conditions === 'unavailable') {
      await stopForAudience(tx, run, row.campaign_id);
      return { kind: 'stopped' };
    }
    const result = await insertBatch(tx, (onConflict) =>
      batchStatement(run.workspaceId, run.runId, row, audience, conditions, size, onConflict),
    );
    const finished = result.scanned < size;
    await tx.query(sql`
      UPDATE campaign_runs SET materialise_cursor = coalesce(${result.last}::uuid, materialise_cursor),
        audience_size = coalesce(audience_size, 0) + ${result.audience},
        phase = ${finished ? 'MATERIALISED' : 'MATERIALISING'}, updated_at = sally_now()
      WHERE workspace_id = ${run.workspaceId} AND id = ${run.runId}`);
    if (result.inserted > 0) {
      await tx.query(sql`
        INSERT INTO run_counters (workspace_id, stream_id, process_id, materialised, queued)
        VALUES (${run.workspaceId}, ${row.stream_id}, ${NO_PROCESS}, ${result.inserted}, ${result.inserted})
        ON CONFLICT (stream_id, process_id, slot) DO UPDATE
        SET materialised = run_counters.materialised + excluded.materialised,
            queued = run_counters.queued + excluded.queued`);
    }
    // Last, since a drain that goes to sleep waits for this row.
    const wake = result.inserted > 0 && (await wakeLane(tx, row.lane_id));
    return {
      kind: 'batch',
      audience: result.audience,
      inserted: result.inserted,
      finished,
      laneId: row.lane_id,
      wake,
    };
  });
}

/**
 * The campaign's own conditions, to be looked up for the contacts of one page; judged at the moment when the run began, so
 * that all pages mean the same days. 'unavailable': what they refer to has gone since.
 */
async function compileConditions(
  tx: Queryable,
  workspaceId: string,
  run: RunForBatch,
  audience: AudienceDefinition,
): Promise<CompiledTree | null | 'unavailable'> {
  if (!audience.conditions) return null;
  const resolution = await resolveConditions(tx, workspaceId, audience.conditions);
  if (!resolution.ok) return 'unavailable';
  return compileTree(audience.conditions, { ...resolution.lookups, now: run.started_at ?? run.now }, 'each');
}

/** Pauses a run in the middle of its audience; resuming goes on where it stopped. */
async function stopForAudience(
  tx: Queryable,
  run: { workspaceId: string; runId: string },
  campaignId: string,
): Promise<void> {
  const stopReason = 'AUDIENCE_UNAVAILABLE';
  const moved = await moveRun(tx, run.workspaceId, run.runId, {
    ...{ from: ['SENDING'], to: 'PAUSED', stream: 'PAUSED', begun: true },
    stopReason,
  });
  if (!moved) return;
  await raiseAudienceAlert(tx, { workspace_id: run.workspaceId, campaign_id: campaignId, id: run.runId }, stopReason);
  await writeAudit(tx, {
    workspaceId: run.workspaceId,
    actor: { type: 'system' },
    action: 'campaign.stop',
    entityType: 'campaign',
    entityId: campaignId,
    old: { status: 'SENDING', run_id: run.runId },
    new: { status: 'PAUSED', run_id: run.runId, stop_reason: stopReason },
  });
}

interface BatchCounts extends Record<string, unknown> {
  scanned: number;
  last: string | null;
  audience: number;
  inserted: number;
}

/**
 * The cursor moves with the rows, so none of a batch exists yet, and inserts that need not look for a conflict cost a
 * fifth less. Should one exist all the same (a restored cursor), the batch is done again, leaving what is there.
 */
async function insertBatch(tx: Queryable, statement: (onConflict: Statement) => Statement): Promise<BatchCounts> {
  const attempt = async (onConflict: Statement): Promise<BatchCounts> => {
    const counts = await one<BatchCounts>(tx, statement(onConflict));
    if (!counts) throw new Error('a batch gave no result');
    return counts;
  };
  await tx.query('SAVEPOINT batch');
  try {
    return await attempt(sql``);
  } catch (error) {
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    await tx.query('ROLLBACK TO SAVEPOINT batch');
    return attempt(sql`ON CONFLICT (source_id, recipient_key, step_key, source_type, workspace_id) DO NOTHING`);
  }
}

/**
 * One statement, one snapshot: the page of ids, those of them that are the audience, and the insert. Ids of rows are
 * UUIDv7 (RFC 9562, 5.7): this statement's milliseconds, then random bits. A default per row would cost more than the
 * row. Shaped so that the plan is the same whatever the statistics say: a campaign often follows an import, before anything was
 * analysed.
 */
function batchStatement(
  workspaceId: string,
  runId: string,
  run: RunForBatch,
  audience: AudienceDefinition,
  conditions: CompiledTree | null,
  size: number,
  onConflict: Statement,
): Statement {
  const source = SOURCES.CAMPAIGN;
  const now = run.now;
  return sql`
    WITH ${audiencePage(workspaceId, audience, conditions, run, size)},
    inserted AS (
      INSERT INTO deliveries (workspace_id, source_type, source_id, id, step_key, recipient_key, contact_id, message_id,
        lane_id, stream_id, mx_group, class, priority, not_before, expires_at, max_attempts, created_at)
      SELECT ${workspaceId}, 'CAMPAIGN', ${runId}, (${uuidPrefix(new Date())} || substr(gen_random_uuid()::text, 16))::uuid,
        'send', c.id::text, c.id, ${run.message_id}::uuid, ${run.lane_id}::uuid, ${run.stream_id}::uuid,
        coalesce(d.mx_group, 'other'), ${source.class}, ${source.priority}, ${now}::timestamptz,
        ${run.expires_at}::timestamptz, ${MAX_ATTEMPTS}, ${now}::timestamptz
      FROM contacts c
      LEFT JOIN mail_domains d ON d.domain = c.email_domain
      WHERE c.workspace_id = ${workspaceId} AND c.id = ANY (ARRAY(SELECT contact_id FROM audience ORDER BY contact_id))
      ${onConflict}
      RETURNING 1)
    SELECT (SELECT count(*) FROM page) AS scanned, (SELECT max(contact_id::text)::uuid FROM page) AS last,
      (SELECT count(*) FROM audience) AS audience, (SELECT count(*) FROM inserted) AS inserted`;
}

/** The first 15 characters of a UUIDv7 of this moment: 48 bits of milliseconds and the version. */
function uuidPrefix(at: Date): string {
  const digits = at.getTime().toString(16).padStart(12, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8)}-7`;
}

/** Cancels up to `size` waiting rows of a cancelled run; returns how many there were. */
export function sweepBatch(db: Database, run: { workspaceId: string; runId: string }, size: number): Promise<number> {
  return db.transaction(async (tx) => {
    const stream = await one<{ stream_id: string; lane_id: string }>(
      tx,
      sql`SELECT r.stream_id, s.lane_id FROM campaign_runs r JOIN streams s ON s.id = r.stream_id
          WHERE r.workspace_id = ${run.workspaceId} AND r.id = ${run.runId} AND r.status = 'CANCELLED'`,
    );
    if (!stream) return 0;
    const swept = await changed(
      tx,
      sql`UPDATE deliveries SET status = 'CANCELLED', reason = 'SOURCE_CANCELLED'
          WHERE source_id = ${run.runId} AND status = 'QUEUED' AND id = ANY (ARRAY(
            SELECT id FROM deliveries
            WHERE lane_id = ${stream.lane_id} AND stream_id = ${stream.stream_id} AND status = 'QUEUED'
            LIMIT ${size} FOR UPDATE SKIP LOCKED))`,
    );
    if (swept > 0) await addCancelled(tx, run.workspaceId, stream.stream_id, swept);
    return swept;
  });
}

async function addCancelled(tx: Queryable, workspaceId: string, streamId: string, count: number): Promise<void> {
  await tx.query(sql`
    INSERT INTO run_counters (workspace_id, stream_id, process_id, queued, cancelled)
    VALUES (${workspaceId}, ${streamId}, ${NO_PROCESS}, ${-count}, ${count})
    ON CONFLICT (stream_id, process_id, slot) DO UPDATE
    SET queued = run_counters.queued + excluded.queued, cancelled = run_counters.cancelled + excluded.cancelled`);
}
