import { many, type Queryable, sql } from '../../platform/postgres';

/** The two contacts of a merge. */
export interface MergePair {
  workspaceId: string;
  survivorId: string;
  otherId: string;
  actorId: string;
}

/**
 * Where both have said something about a purpose, the stricter state holds (denied, pending, granted); where only one
 * has, that. The proof gets an event with the state that holds from now on, since the history of both is read as one; with
 * the other's evidence where its state was taken over. Open opt-in requests of the other one
 * are cancelled, since they ask at an address that is nobody's any more; their ids are returned.
 */
export async function mergeConsents(tx: Queryable, pair: MergePair): Promise<string[]> {
  const { workspaceId, survivorId, otherId, actorId } = pair;
  await tx.query(sql`
    WITH others AS MATERIALIZED (
      SELECT * FROM consents WHERE workspace_id = ${workspaceId} AND contact_id = ${otherId}),
    taken AS (
      INSERT INTO consents AS c (workspace_id, contact_id, channel, purpose_id, status, granted_at, revoked_at, source)
      SELECT workspace_id, ${survivorId}, channel, purpose_id, status, granted_at, revoked_at, source FROM others
      ON CONFLICT (workspace_id, contact_id, channel, purpose_id) DO UPDATE SET status = excluded.status,
        granted_at = excluded.granted_at, revoked_at = excluded.revoked_at, source = excluded.source, updated_at = sally_now()
      WHERE array_position(ARRAY['granted', 'pending', 'denied'], excluded.status)
        > array_position(ARRAY['granted', 'pending', 'denied'], c.status)
      RETURNING c.channel, c.purpose_id, c.status),
    told AS MATERIALIZED (
      SELECT sally_append_event(${workspaceId}, CASE status WHEN 'granted' THEN 'consent_granted' ELSE 'consent_revoked' END,
        ${survivorId}, NULL, jsonb_build_object('purpose_id', purpose_id, 'channel', channel, 'source', 'merge'))
      FROM taken WHERE status <> 'pending')
    INSERT INTO consent_events (workspace_id, contact_id, channel, purpose_id, status, source, wording_version, locale,
      ip_address, user_agent, opt_in_request_id, import_job_id, import_row, actor_id)
    SELECT ${workspaceId}, ${survivorId}, o.channel, o.purpose_id, coalesce(t.status, own.status), coalesce(e.source, 'manual'),
      e.wording_version, e.locale, e.ip_address, e.user_agent, e.opt_in_request_id, e.import_job_id, e.import_row, ${actorId}
    FROM others o
    LEFT JOIN taken t ON t.channel = o.channel AND t.purpose_id = o.purpose_id
    LEFT JOIN consents own ON own.workspace_id = ${workspaceId} AND own.contact_id = ${survivorId}
      AND own.channel = o.channel AND own.purpose_id = o.purpose_id
    LEFT JOIN LATERAL (
      SELECT * FROM consent_events e WHERE e.workspace_id = ${workspaceId} AND e.contact_id = ${otherId}
        AND e.channel = t.channel AND e.purpose_id = t.purpose_id AND e.status = t.status ORDER BY e.id DESC LIMIT 1) e ON true
    WHERE (SELECT count(*) FROM told) >= 0`);
  await tx.query(sql`DELETE FROM consents WHERE workspace_id = ${workspaceId} AND contact_id = ${otherId}`);
  const closed = await many<{ id: string }>(
    tx,
    sql`UPDATE opt_in_requests SET status = 'CANCELLED', updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND contact_id = ${otherId} AND status = 'OPEN' RETURNING id`,
  );
  return closed.map(({ id }) => id);
}

/** Who left a category with one of the contacts has left it; the rarer frequency holds. */
export async function mergePreferences(tx: Queryable, pair: MergePair): Promise<void> {
  const { workspaceId, survivorId, otherId } = pair;
  await tx.query(sql`
    INSERT INTO category_preferences AS p (workspace_id, contact_id, category_id, subscribed, source, frequency)
    SELECT workspace_id, ${survivorId}, category_id, subscribed, source, frequency
    FROM category_preferences WHERE workspace_id = ${workspaceId} AND contact_id = ${otherId}
    ON CONFLICT (workspace_id, contact_id, category_id) DO UPDATE SET
      subscribed = p.subscribed AND excluded.subscribed,
      source = CASE WHEN p.subscribed AND NOT excluded.subscribed THEN excluded.source ELSE p.source END,
      frequency = CASE WHEN array_position(ARRAY['IMMEDIATE', 'DAILY', 'WEEKLY', 'MONTHLY'], excluded.frequency)
        > array_position(ARRAY['IMMEDIATE', 'DAILY', 'WEEKLY', 'MONTHLY'], p.frequency) THEN excluded.frequency ELSE p.frequency END,
      updated_at = sally_now()`);
  await tx.query(sql`
    DELETE FROM category_preferences WHERE workspace_id = ${workspaceId} AND contact_id = ${otherId}`);
  await tx.query(sql`
    UPDATE frequency_units SET contact_id = ${survivorId} WHERE workspace_id = ${workspaceId} AND contact_id = ${otherId}`);
}

/**
 * A complaint, or a suppression by hand, is about the person: the survivor's address is suppressed for it too. A bounce
 * is about the address and stays with it. The other address stays suppressed in any case.
 */
export async function mergeSuppressions(
  tx: Queryable,
  pair: MergePair,
  survivor: { address: string; hash: Buffer; otherHash: Buffer },
): Promise<void> {
  const { workspaceId, actorId, otherId } = pair;
  await tx.query(sql`
    INSERT INTO suppressions AS s (workspace_id, address_hash, hint, reason, source, evidence, note, created_by)
    SELECT workspace_id, ${survivor.hash}, left(${survivor.address}, 1) || '…@' || split_part(${survivor.address}, '@', -1),
      reason, source, evidence || jsonb_build_object('merged_contact_id', ${otherId}::text), note, ${actorId}
    FROM suppressions WHERE workspace_id = ${workspaceId} AND address_hash = ${survivor.otherHash} AND state = 'ACTIVE'
      AND reason IN ('COMPLAINT', 'MANUAL')
    ON CONFLICT (workspace_id, address_hash) WHERE address_hash IS NOT NULL DO UPDATE SET state = 'ACTIVE'`);
}
