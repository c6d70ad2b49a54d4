import {
  deleteExternalIds,
  externalIdsOf,
  findExternalIds,
  insertExternalIds,
  ProfileConflict,
} from '../../db/contacts';
import {
  EXTERNAL_ID_KIND,
  type ExternalId,
  externalIdKey,
  MAX_EXTERNAL_ID_LENGTH,
  MAX_EXTERNAL_IDS,
} from '../../domain/contacts';
import { Problem } from '../http/problem';
import type { WorkspaceContext } from '../http/route';
import { headerText, z } from '../http/schemas';

export const externalId = z
  .strictObject({
    kind: z.string().regex(EXTERNAL_ID_KIND, 'must be lower-case letters, digits and underscores'),
    value: headerText(MAX_EXTERNAL_ID_LENGTH)
      .min(1)
      .refine((value) => !/\p{Surrogate}/u.test(value), 'must not contain broken Unicode'),
  })
  .openapi('ExternalId', { description: 'An id that another system has for the contact, for example crm 4711.' });

export const externalIds = z.array(externalId).max(MAX_EXTERNAL_IDS);

/** Gives a contact, which is locked, exactly these external ids. 409 names the contact that has one already. */
export async function replaceExternalIds(
  context: WorkspaceContext,
  contactId: string,
  wanted: readonly ExternalId[],
): Promise<void> {
  const { tx, workspaceId } = context;
  const had = await externalIdsOf(tx, workspaceId, [contactId]);
  const keys = new Set(wanted.map(externalIdKey));
  const known = new Set(had.map(externalIdKey));
  const fresh = new Map(wanted.filter((one) => !known.has(externalIdKey(one))).map((one) => [externalIdKey(one), one]));
  const [taken] = await findExternalIds(tx, workspaceId, [...fresh.values()]);
  if (taken) throw externalIdTaken(taken.contactId);
  const gone = had.filter((one) => !keys.has(externalIdKey(one)));
  await deleteExternalIds(tx, workspaceId, contactId, gone);
  try {
    await insertExternalIds(
      tx,
      workspaceId,
      [...fresh.values()].map((one) => ({ ...one, contactId })),
    );
  } catch (error) {
    throw error instanceof ProfileConflict ? externalIdTaken(null) : error;
  }
}

function externalIdTaken(contactId: string | null): Problem {
  return new Problem('conflict', 'Another contact has this external id. Merge the two, or change that one first.', {
    members: { contact_id: contactId },
    errors: [{ pointer: '/body/external_ids', detail: 'another contact has this external id' }],
  });
}
