import type { PoolClient } from 'pg';
import type { DeliveryStatus } from '../../domain/delivery';
import { many, sql } from '../../platform/postgres';
import { settleLate } from './settle-late';

/** Counter row of what operators change. */
export const OPERATOR_PROCESS = '00000000-0000-7000-8000-000000000002';

/** What an operator found out about an unconfirmed message. */
export const OPERATOR_OUTCOMES = ['SENT', 'NOT_SENT', 'FAILED'] as const;
export type OperatorOutcome = (typeof OPERATOR_OUTCOMES)[number];

/** Reason of a row that an operator failed or queued again. */
const OPERATOR_REASON = 'SETTLED_BY_OPERATOR';

const LEDGER_OUTCOME = { SENT: 'SENT', NOT_SENT: 'QUEUED', FAILED: 'FAILED' } as const;

export interface OperatorSettlement {
  sourceId: string;
  deliveryId: string;
  outcome: OperatorOutcome;
}

export interface OperatorResult {
  sourceId: string;
  deliveryId: string;
  /** 'not-unconfirmed': the row has an end, waits or is being sent; it was left as it is. */
  result: 'applied' | 'not-unconfirmed' | 'not-found';
  /** As it is now; null where there is no row. */
  status: DeliveryStatus | null;
}

/**
 * Settles UNCONFIRMED rows by what an operator found, in the caller's transaction; every row in late_settlements.
 * NOT_SENT queues the row again: the one way in which bulk mail may go twice (design, section 4). Returns a result per
 * settlement, in their order, and the lanes in which rows wait again.
 */
export async function settleByOperator(
  tx: PoolClient,
  operator: { workspaceId: string; actorId: string },
  settlements: readonly OperatorSettlement[],
): Promise<{ results: OperatorResult[]; laneIds: string[] }> {
  // Locked at once and in the order of their keys, so that two operators never wait for each other.
  const rows = await many<{ source_id: string; id: string; status: string; claim_id: string | null; lane_id: string }>(
    tx,
    sql`SELECT d.source_id, d.id, d.status, d.claim_id, d.lane_id
        FROM unnest(${settlements.map((item) => item.sourceId)}::uuid[], ${settlements.map((item) => item.deliveryId)}::uuid[])
          AS w (source_id, id)
        JOIN deliveries d ON d.source_id = w.source_id AND d.id = w.id
        WHERE d.workspace_id = ${operator.workspaceId} ORDER BY d.source_id, d.id FOR UPDATE OF d`,
  );
  const known = new Map(rows.map((row) => [`${row.source_id} ${row.id}`, row]));
  const laneIds = new Set<string>();
  const results: OperatorResult[] = [];
  for (const { sourceId, deliveryId, outcome } of settlements) {
    const row = known.get(`${sourceId} ${deliveryId}`);
    const open = row?.status === 'UNCONFIRMED' && row.claim_id !== null;
    if (open && row.claim_id) {
      await settleLate(tx, {
        workspaceId: operator.workspaceId,
        sourceId,
        deliveryId,
        claimId: row.claim_id,
        origin: 'OPERATOR',
        outcome: LEDGER_OUTCOME[outcome],
        reason: outcome === 'SENT' ? null : OPERATOR_REASON,
        actorId: operator.actorId,
        processId: OPERATOR_PROCESS,
      });
      if (outcome === 'NOT_SENT') laneIds.add(row.lane_id);
    }
    results.push({
      sourceId,
      deliveryId,
      result: open ? 'applied' : row ? 'not-unconfirmed' : 'not-found',
      status: null,
    });
  }
  const now = await statusesOf(tx, operator.workspaceId, settlements);
  return {
    results: results.map((item) => ({ ...item, status: now.get(`${item.sourceId} ${item.deliveryId}`) ?? null })),
    laneIds: [...laneIds].sort(),
  };
}

async function statusesOf(
  tx: PoolClient,
  workspaceId: string,
  settlements: readonly OperatorSettlement[],
): Promise<Map<string, DeliveryStatus>> {
  const rows = await many<{ source_id: string; id: string; status: DeliveryStatus }>(
    tx,
    sql`SELECT d.source_id, d.id, d.status
        FROM unnest(${settlements.map((item) => item.sourceId)}::uuid[], ${settlements.map((item) => item.deliveryId)}::uuid[])
          AS w (source_id, id)
        JOIN deliveries d ON d.source_id = w.source_id AND d.id = w.id
        WHERE d.workspace_id = ${workspaceId}`,
  );
  return new Map(rows.map((row) => [`${row.source_id} ${row.id}`, row.status]));
}

/** The first `limit` UNCONFIRMED rows of a campaign's runs, and how many there are in all. */
export async function unconfirmedOf(
  tx: PoolClient,
  workspaceId: string,
  campaignId: string,
  limit: number,
): Promise<{ rows: { sourceId: string; deliveryId: string }[]; total: number }> {
  const rows = await many<{ source_id: string; id: string; total: number }>(
    tx,
    sql`SELECT d.source_id, d.id, count(*) OVER () AS total
        FROM campaign_runs r JOIN deliveries d ON d.stream_id = r.stream_id AND d.status = 'UNCONFIRMED'
        WHERE r.workspace_id = ${workspaceId} AND r.campaign_id = ${campaignId} AND d.workspace_id = ${workspaceId}
        ORDER BY d.source_id, d.id LIMIT ${limit}`,
  );
  return {
    rows: rows.map((row) => ({ sourceId: row.source_id, deliveryId: row.id })),
    total: rows[0]?.total ?? 0,
  };
}
