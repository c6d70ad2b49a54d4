import { findAudience } from '../../db/audiences';
import { findPurpose } from '../../db/consent';
import { activeFieldDefinitions, findUpload } from '../../db/contacts';
import { findGate, type Gate, type GateResource } from '../../db/gates';
import type { GateCondition, GatePolicy } from '../../domain/gates';
import { invalidField, notFound } from '../http/problem';
import type { WorkspaceContext } from '../http/route';
import type { z } from '../http/schemas';
import type { newResource, policy } from './schemas';

const BUILT_IN_FIELDS: ReadonlySet<string> = new Set(['first_name', 'last_name', 'locale', 'time_zone']);

/** The policy with everything that it names checked. */
export async function readPolicy(context: WorkspaceContext, asked: z.output<typeof policy>): Promise<GatePolicy> {
  const { tx, workspaceId } = context;
  const known = new Set((await activeFieldDefinitions(tx, workspaceId)).map(({ key }) => key));
  const conditions: GateCondition[] = [];
  for (const [index, each] of asked.conditions.entries()) {
    const place = `policy/conditions/${index}`;
    switch (each.type) {
      case 'consent':
        await requirePurpose(context, each.purpose_id, `${place}/purpose_id`);
        conditions.push({ type: 'consent', purposeId: each.purpose_id });
        break;
      case 'audience':
        if (!(await findAudience(tx, workspaceId, each.audience_id))) {
          throw invalidField(`${place}/audience_id`, 'No audience with this id exists in this workspace.');
        }
        conditions.push({ type: 'audience', audienceId: each.audience_id });
        break;
      case 'fields': {
        const unknown = each.names.find((name) => !BUILT_IN_FIELDS.has(name) && !known.has(name));
        if (unknown !== undefined) throw invalidField(`${place}/names`, `No field "${unknown}" exists.`);
        conditions.push({ type: 'fields', names: [...new Set(each.names)] });
      }
    }
  }
  return { match: asked.match, conditions };
}

/** The purpose must be one that visitors can opt in to; else 422 at `place`. */
export async function requirePurpose(
  { tx, workspaceId }: WorkspaceContext,
  purposeId: string,
  place: string,
): Promise<void> {
  const purpose = await findPurpose(tx, workspaceId, purposeId);
  if (purpose?.kind === 'marketing' && purpose.archived_at === null) return;
  throw invalidField(place, 'No marketing purpose with this id is in use in this workspace.');
}

/** The resource as it is stored, and the upload that a file is copied from. */
export async function readResource(
  { tx, workspaceId }: WorkspaceContext,
  asked: z.output<typeof newResource>,
): Promise<{ resource: GateResource; uploadId: string | null }> {
  if (asked.type !== 'file') return { resource: asked, uploadId: null };
  const upload = await findUpload(tx, workspaceId, asked.upload_id);
  if (!upload?.completed_at) {
    throw invalidField('resource/upload_id', 'No complete upload with this id exists in this workspace.');
  }
  const resource: GateResource = {
    type: 'file',
    filename: asked.filename ?? upload.filename,
    contentType: asked.content_type,
    bytes: upload.size_bytes,
  };
  return { resource, uploadId: upload.id };
}

/** The gate, locked if wanted; 404 without it. */
export async function requireGate(context: WorkspaceContext, gateId: string, lock = false): Promise<Gate> {
  const gate = await findGate(context.tx, context.workspaceId, { id: gateId }, lock);
  if (!gate) throw notFound('gate');
  return gate;
}
