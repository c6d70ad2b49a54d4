import { judgeGate } from '../../domain/gates';
import { one, type Queryable, sql } from '../../platform/postgres';
import { applyPendingProfile, type PendingProfile } from '../consent';
import { findGate, type Gate } from './gates';
import { type AccessOutcome, gateFacts, lockGrant, recordAccess, type UsedGrant } from './grants';

/** What using a link leads to. */
export type GatePass = { outcome: 'GIVEN'; gate: Gate } | { outcome: Exclude<AccessOutcome, 'GIVEN'> };

/**
 * Uses a link once, in the caller's transaction: checks everything as it is now, counts and records. The first use
 * shows that the address is the visitor's, so that what was typed with it becomes the profile. Null: no such grant.
 */
export async function passGate(tx: Queryable, workspaceId: string, grantId: string): Promise<GatePass | null> {
  const grant = await lockGrant(tx, workspaceId, grantId);
  if (!grant) return null;
  const pass = await judgePass(tx, workspaceId, grant);
  if (pass.outcome === 'GIVEN' && Object.keys(grant.submitted).length > 0) {
    await applyPendingProfile(tx, {
      workspaceId,
      contactId: grant.contact_id,
      requestId: grant.id,
      profile: grant.submitted as PendingProfile,
    });
  }
  await recordAccess(tx, workspaceId, grant, pass.outcome);
  return pass;
}

async function judgePass(tx: Queryable, workspaceId: string, grant: UsedGrant): Promise<GatePass> {
  if (grant.status === 'REVOKED') return { outcome: 'REVOKED' };
  if (grant.expired) return { outcome: 'EXPIRED' };
  if (grant.used_up) return { outcome: 'USED_UP' };
  const gate = await findGate(tx, workspaceId, { id: grant.gate_id });
  if (!gate) return { outcome: 'CLOSED' };
  const of = { workspaceId, contactId: grant.contact_id, policy: gate.policy, submitted: grant.submitted };
  const facts = await gateFacts(tx, of);
  if (!facts) return { outcome: 'CLOSED' };
  return judgeGate(gate.policy, facts).open ? { outcome: 'GIVEN', gate } : { outcome: 'CONDITIONS' };
}

/** Name and locale of a workspace, for its pages. */
export function findPageWorkspace(
  db: Queryable,
  workspaceId: string,
): Promise<{ name: string; default_locale: string } | null> {
  return one(db, sql`SELECT name, default_locale FROM workspaces WHERE id = ${workspaceId}`);
}
