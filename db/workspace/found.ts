import { slugOf } from '../../domain/workspace';
import { randomToken } from '../../platform/crypto';
import type { Queryable } from '../../platform/postgres';
import { writeAudit } from './audit';
import { insertMember } from './people';
import { findWorkspace, insertWorkspace, type NewWorkspace, type Workspace } from './workspaces';

export interface Founding {
  workspace: Omit<NewWorkspace, 'slug'> & { slug: string | null };
  /** Becomes its owner. */
  ownerId: string;
  /** Fills it with what other areas begin with (purposes, opt-in mails). */
  seed: (tx: Queryable, workspaceId: string) => Promise<void>;
  requestId: string | null;
}

/**
 * Makes a workspace with its owner, seeded and audited; null when the given slug is taken. Without a slug one is
 * made from the name. `tx` must be limited to the new workspace's id.
 */
export async function foundWorkspace(tx: Queryable, founding: Founding): Promise<Workspace | null> {
  const { workspace, ownerId } = founding;
  const suffix = randomToken(6)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '0');
  const slugs =
    workspace.slug === null ? [slugOf(workspace.name), `${slugOf(workspace.name)}-${suffix}`] : [workspace.slug];
  let inserted = false;
  for (const slug of slugs) inserted ||= await insertWorkspace(tx, { ...workspace, slug });
  if (!inserted) return null;
  await insertMember(tx, { workspaceId: workspace.id, userId: ownerId, role: 'owner' });
  await founding.seed(tx, workspace.id);
  const made = await findWorkspace(tx, workspace.id);
  if (!made) throw new Error('the new workspace cannot be read');
  await writeAudit(tx, {
    workspaceId: workspace.id,
    actor: { type: 'user', userId: ownerId },
    action: 'workspace.create',
    entityType: 'workspace',
    entityId: workspace.id,
    new: { name: made.name, slug: made.slug, time_zone: made.timeZone, message_domain: made.messageDomain },
    requestId: founding.requestId,
  });
  return made;
}
