import type { Queryable } from '../../platform/postgres';
import { seedConsent } from '../consent';

/** What a new workspace starts with: purposes, a preference category and the opt-in templates. */
export async function seedWorkspace(tx: Queryable, workspaceId: string): Promise<void> {
  await seedConsent(tx, workspaceId);
}
