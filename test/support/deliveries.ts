import { takeCapacity } from '../../db/delivery/capacity';
import { claimSlot, type LockedRow, lockGroup, writeClaim } from '../../db/delivery/claim';
import { toFacts } from '../../db/delivery/facts';
import { loseClaims } from '../../db/delivery/process';
import { type CapacityLimit, type CapacityUnit, judge } from '../../domain/delivery';
import { uuidv7 } from '../../platform/ids';
import { type Database, many, one, sql } from '../../platform/postgres';

/** A claim as a delivery process makes it: locked, judged, written; without rendering and sending. */
export interface TestClaim {
  claimId: string;
  claimedAt: Date;
  processId: string;
  claimed: LockedRow[];
  /** What each of them holds. */
  units: CapacityUnit[];
  refused: number;
}

/** Claims queued rows of one stream as `processId`; null when none of them is left. */
export function claimRows(
  db: Database,
  processId: string,
  keys: readonly { source_id: string; id: string }[],
  routeId = uuidv7(),
  caps: { limits: readonly CapacityLimit[]; localDate: string } | null = null,
): Promise<TestClaim | null> {
  const sources = [...new Set(keys.map((key) => key.source_id))];
  return db.transaction(async (tx) => {
    const { rows, now } = await lockGroup(tx, {
      sourceIds: sources.length === 1 ? sources : keys.map((key) => key.source_id),
      deliveryIds: keys.map((key) => key.id),
    });
    const [first] = rows;
    if (!first || now === null) return null;
    const origin = await one<{ workspace_id: string; lane_id: string; stream_id: string }>(
      tx,
      sql`SELECT workspace_id, lane_id, stream_id FROM deliveries WHERE source_id = ${first.source_id} AND id = ${first.id}`,
    );
    if (!origin) throw new Error('a locked row is gone');
    const judged = rows.map((row) => ({ row, verdict: judge(toFacts(row), now) }));
    const passed = judged.filter(({ verdict }) => verdict.kind === 'OK').map(({ row }) => row);
    const taken = await takeCapacity(tx, {
      workspaceId: origin.workspace_id,
      limits: caps?.limits ?? [],
      now,
      localDate: caps?.localDate ?? '',
      wanted: passed.length,
    });
    const claimed = passed.slice(0, taken.count);
    const units = claimed.length > 0 ? taken.units : [];
    const claimId = uuidv7();
    const written = await writeClaim(tx, {
      workspaceId: origin.workspace_id,
      laneId: origin.lane_id,
      streamId: origin.stream_id,
      routeId,
      routeReason: 'test',
      processId,
      counterSlot: claimSlot(0),
      claimId,
      claimedAt: now,
      capDate: units.length > 0 ? (caps?.localDate ?? null) : null,
      units,
      claimed: claimed.map((row) => ({
        sourceId: row.source_id,
        id: row.id,
        address: row.email ?? '',
        recipientName: '',
        addressHash: row.email_hash,
      })),
      refused: judged.flatMap(({ row, verdict }) =>
        verdict.kind === 'OK' ? [] : [{ sourceId: row.source_id, id: row.id, verdict }],
      ),
    });
    await written?.sent;
    return { claimId, claimedAt: now, processId, claimed, units, refused: rows.length - passed.length };
  });
}

/** The process that made the claim is gone: its rows are UNCONFIRMED (bulk) or queued again. */
export function loseClaim(db: Database, claim: Pick<TestClaim, 'claimId'>): Promise<number> {
  return db.transaction((tx) => loseClaims(tx, [claim.claimId], 30, uuidv7()));
}

/** Keys of a source's rows with this status, in order. */
export function keysOf(
  db: Database,
  sourceId: string,
  status = 'QUEUED',
): Promise<{ source_id: string; id: string; contact_id: string | null }[]> {
  return many(
    db,
    sql`SELECT source_id, id, contact_id FROM deliveries WHERE source_id = ${sourceId} AND status = ${status} ORDER BY id`,
  );
}
