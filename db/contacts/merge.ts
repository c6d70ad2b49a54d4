import { applySubmission, isEmptyChange, mergeChanges, mergedStatus } from '../../domain/contacts';
import { tombstoneAddress } from '../../domain/contacts/erasure';
import type { AddressHasher } from '../../platform/crypto';
import { many, one, type Queryable, sql } from '../../platform/postgres';
import { appendEvent } from '../events';
import { type ContactRow, toProfile } from './contacts';
import { mergeConsents, mergePreferences, mergeSuppressions } from './merge-consent';
import { mergeDeliveries, mergeEnrolments, mergeMemberships } from './merge-sources';
import { appendSubmission } from './submissions';

type Mergeable = Pick<
  ContactRow,
  'id' | 'email' | 'status' | 'first_name' | 'last_name' | 'locale' | 'time_zone' | 'tags' | 'fields' | 'version'
> & { email_hash: Buffer; erased_at: Date | null; merged_into: string | null };

/** Two contacts, tombstones included, held until the end of the transaction. */
export async function lockForMerge(
  tx: Queryable,
  workspaceId: string,
  survivorId: string,
  otherId: string,
): Promise<{ survivor: Mergeable | null; other: Mergeable | null }> {
  const rows = await many<Mergeable>(
    tx,
    sql`SELECT id, email, email_hash, status, first_name, last_name, locale, time_zone, tags, fields, version, erased_at,
          merged_into
        FROM contacts WHERE workspace_id = ${workspaceId} AND id IN (${survivorId}, ${otherId}) ORDER BY id FOR UPDATE`,
  );
  const find = (id: string) => rows.find((row) => row.id === id) ?? null;
  return { survivor: find(survivorId), other: find(otherId) };
}

/** Where a merged contact's person is now; null: it was not merged, or never existed. */
export async function findMergedInto(db: Queryable, workspaceId: string, id: string): Promise<string | null> {
  const row = await one<{ merged_into: string | null }>(
    db,
    sql`SELECT merged_into FROM contacts WHERE workspace_id = ${workspaceId} AND id = ${id}`,
  );
  return row?.merged_into ?? null;
}

/** What a merge did besides the profile. */
export interface MergeReport {
  /** Waiting messages that the same person gets, or got, by the other contact. */
  cancelledDeliveries: number;
  movedDeliveries: number;
  /** Opt-in requests that were cancelled: they asked at an address which is nobody's now. */
  closedRequests: string[];
}

/**
 * Merges `other` into `survivor`, both locked and alive, in the caller's transaction. What is append-only (submissions,
 * consent events, events) stays under its contact and is found by sally_contact_family; state and deliveries move.
 */
export async function mergeContacts(
  tx: Queryable,
  workspaceId: string,
  survivor: Mergeable,
  other: Mergeable,
  by: { hasher: AddressHasher; actorId: string },
): Promise<MergeReport> {
  const before = toProfile(survivor);
  const changes = mergeChanges(before, toProfile(other));
  const profile = applySubmission(before, changes);
  // The other one first: the survivor may be found by what it leaves, never the other way round.
  const tombstone = tombstoneAddress(other.id);
  await tx.query(sql`
    UPDATE contacts SET merged_into = ${survivor.id} WHERE workspace_id = ${workspaceId} AND merged_into = ${other.id}`);
  await tx.query(sql`
    UPDATE contacts SET email = ${tombstone}, email_hash = ${by.hasher.hash(tombstone)}, first_name = '', last_name = '',
      locale = NULL, time_zone = NULL, tags = '{}', fields = '{}', erased_at = sally_now(), merged_into = ${survivor.id},
      version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${other.id}`);
  // A message rendered for either of them is rendered again: no version of theirs stays.
  await tx.query(sql`
    UPDATE contacts SET status = ${mergedStatus(survivor.status, other.status)}, first_name = ${profile.firstName ?? ''},
      last_name = ${profile.lastName ?? ''}, locale = ${profile.locale}, time_zone = ${profile.timeZone},
      tags = ${profile.tags}, fields = ${JSON.stringify(profile.fields)},
      version = ${Math.max(survivor.version, other.version) + 1}, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${survivor.id}`);
  if (!isEmptyChange(changes)) {
    const origin = { origin: 'MERGE', originId: other.id, actorId: by.actorId } as const;
    await appendSubmission(tx, workspaceId, survivor.id, changes, origin);
  }
  await tx.query(sql`
    INSERT INTO merged_addresses (workspace_id, address_hash, contact_id)
    VALUES (${workspaceId}, ${other.email_hash}, ${other.id}) ON CONFLICT DO NOTHING`);
  await tx.query(sql`
    UPDATE contact_identities SET contact_id = ${survivor.id} WHERE workspace_id = ${workspaceId} AND contact_id = ${other.id}`);

  const pair = { workspaceId, survivorId: survivor.id, otherId: other.id, actorId: by.actorId };
  const closedRequests = await mergeConsents(tx, pair);
  await mergePreferences(tx, pair);
  await mergeSuppressions(tx, pair, {
    address: survivor.email,
    hash: survivor.email_hash,
    otherHash: other.email_hash,
  });
  await mergeMemberships(tx, pair);
  await mergeEnrolments(tx, pair);
  const deliveries = await mergeDeliveries(tx, pair, survivor.email);
  await appendEvent(tx, {
    workspaceId,
    type: 'contact_merged',
    contactId: survivor.id,
    payload: { merged_contact_id: other.id },
  });
  return { ...deliveries, closedRequests };
}
