import { requeue } from '../../db/delivery/requeue';
import { settleRows } from '../../db/delivery/settle';
import { settleLate } from '../../db/delivery/settle-late';
import { type SendOutcome, settle } from '../../domain/delivery';
import { uuidv7 } from '../../platform/ids';
import { type Database, many, sql } from '../../platform/postgres';
import { pick } from './audience-world';

interface Row {
  source_id: string;
  id: string;
  claim_id: string;
  stream_id: string;
  class: 'bulk' | 'journey' | 'transactional';
  contact_id: string;
}

const ACCEPTED: SendOutcome = { kind: 'accepted', providerMessageId: null, reply: '' };
const UNKNOWN: SendOutcome = { kind: 'unknown', cause: 'timeout' };
const REFUSED: SendOutcome = {
  ...{ kind: 'permanent', scope: 'address', suppress: false, otherRoute: false },
  ...{ code: 550, enhanced: '5.1.1', reply: 'No such user' },
};
const OPERATOR = { actorId: null, processId: '00000000-0000-7000-8000-000000000002' };

/** Something becomes of a message of a random world, by the functions that the product itself writes with. */
export async function somethingIsSettled(db: Database, workspaceId: string, random: () => number): Promise<void> {
  const inStatus = (status: string) =>
    many<Row & Record<string, unknown>>(
      db,
      sql`SELECT source_id, id, claim_id, stream_id, class, contact_id FROM deliveries
          WHERE workspace_id = ${workspaceId} AND status = ${status}
            AND (status <> 'FAILED' OR reason = 'ADDRESS_REJECTED') ORDER BY id`,
    );
  const kind = pick(random, ['queued', 'unconfirmed', 'rejected'] as const);
  if (kind === 'queued') {
    const rows = await inStatus('QUEUED');
    if (rows.length > 0)
      await settleRow(db, workspaceId, pick(random, rows), pick(random, [ACCEPTED, REFUSED, UNKNOWN]));
  } else if (kind === 'unconfirmed') {
    const rows = await inStatus('UNCONFIRMED');
    if (rows.length === 0) return;
    const { source_id: sourceId, id: deliveryId, claim_id: claimId } = pick(random, rows);
    const outcome = pick(random, ['SENT', 'FAILED', 'QUEUED'] as const);
    const reason = outcome === 'FAILED' ? 'ADDRESS_REJECTED' : null;
    const truth = { workspaceId, sourceId, deliveryId, claimId, origin: 'EVIDENCE', outcome, reason } as const;
    await db.transaction((tx) => settleLate(tx, { ...truth, ...OPERATOR }));
  } else {
    const rows = await inStatus('FAILED');
    if (rows.length === 0) return;
    const filter = { workspaceId, campaignId: null, sequenceId: null, contactId: pick(random, rows).contact_id };
    await db.transaction((tx) => requeue(tx, { ...filter, reasons: ['ADDRESS_REJECTED'], since: null }, 100));
  }
}

/** Claims one row, as a group of its own, and settles it. */
async function settleRow(db: Database, workspaceId: string, row: Row, outcome: SendOutcome): Promise<void> {
  const [claimId, processId, claimedAt] = [uuidv7(), uuidv7(), new Date()];
  await db.query(sql`
    WITH claimed AS (
      UPDATE deliveries SET status = 'SENDING', claim_id = ${claimId}, last_attempt_at = sally_now()
      WHERE source_id = ${row.source_id} AND id = ${row.id} RETURNING lane_id, stream_id)
    INSERT INTO delivery_groups (workspace_id, claim_id, process_id, lane_id, stream_id, route_id, source_ids, delivery_ids, claimed_at)
    SELECT ${workspaceId}, ${claimId}, ${processId}, lane_id, stream_id, ${uuidv7()}, ARRAY[${row.source_id}::uuid],
      ARRAY[${row.id}::uuid], ${claimedAt} FROM claimed`);
  const before = { messageClass: row.class, attempts: 0, maxAttempts: 4, dataDrops: 0 };
  const ofRow = { workspaceId, streamId: row.stream_id, sourceId: row.source_id, id: row.id, claimId, claimedAt };
  const { late } = await settleRows(db, processId, [
    {
      ...ofRow,
      ...{ routeId: uuidv7(), providerMessageId: null, attempt: null, units: [], hasFrequencyUnit: false },
      settlement: settle(outcome, before, 3_000),
    },
  ]);
  if (late.length > 0) throw new Error('a row could not be settled');
}
