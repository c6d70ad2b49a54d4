import type { PoolClient } from 'pg';
import { OPT_IN_MAILS_PER_DAY } from '../../domain/delivery';
import { many, sql } from '../../platform/postgres';

/** An opt-in mail that is about to be claimed. */
export interface OptInMail {
  sourceId: string;
  deliveryId: string;
  addressHash: Buffer;
}

/**
 * Takes the units of opt-in mails in the claim's transaction, under a lock per address, so that two processes can't
 * both take the third. Returns the deliveries that got one. A resend of the same delivery has its unit already.
 */
export async function takeOptInUnits(tx: PoolClient, workspaceId: string, mails: OptInMail[]): Promise<Set<string>> {
  const granted = new Set<string>();
  const inOrder = [...mails].sort((a, b) => Buffer.compare(a.addressHash, b.addressHash));
  for (const mail of inOrder) {
    await tx.query(sql`SELECT pg_advisory_xact_lock(hashtextextended(encode(${mail.addressHash}, 'hex'), 7))`);
    const rows = await many(
      tx,
      sql`WITH known AS (
            SELECT 1 FROM opt_in_mails WHERE workspace_id = ${workspaceId} AND address_hash = ${mail.addressHash} AND delivery_id = ${mail.deliveryId}),
          taken AS (
            INSERT INTO opt_in_mails (workspace_id, address_hash, source_id, delivery_id)
            SELECT ${workspaceId}, ${mail.addressHash}, ${mail.sourceId}, ${mail.deliveryId}
            WHERE NOT EXISTS (SELECT 1 FROM known) AND (
              SELECT count(*) FROM opt_in_mails WHERE workspace_id = ${workspaceId} AND address_hash = ${mail.addressHash}
                AND taken_at > sally_now() - interval '24 hours') < ${OPT_IN_MAILS_PER_DAY}
            RETURNING 1)
          SELECT 1 FROM known UNION ALL SELECT 1 FROM taken`,
    );
    if (rows.length > 0) granted.add(mail.deliveryId);
  }
  return granted;
}
