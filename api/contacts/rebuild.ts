import { findContact, foldSubmissions, lockContact, restoreProfile, toProfile } from '../../db/contacts';
import { isEmptyChange, profileDifference, snapshotProblem, toSubmissionPayload } from '../../domain/contacts';
import { notFound, wrongState } from '../http/problem';
import { defineRoute } from '../http/route';
import { z } from '../http/schemas';
import { CONTACTS, contact, contactParams, showContact, TAG } from './schemas';

const rebuilt = z
  .object({
    submissions: z.number().int().openapi({ description: 'How many were read.' }),
    same: z.boolean().openapi({ description: 'The profile was what its submissions say.' }),
    changes: z
      .record(z.string(), z.unknown())
      .openapi({ description: 'What was not, as a submission would say it; empty when all was.' }),
    contact,
  })
  .openapi('RebuiltContact');

export const rebuildRoutes = [
  defineRoute({
    method: 'post',
    path: `${CONTACTS}/{contact_id}/rebuild`,
    operationId: 'rebuildContact',
    tag: TAG,
    summary: 'Makes the profile again from its submissions',
    description:
      'The profile always is what its submissions say, so this changes nothing unless the row was edited past the API. The address is left as it is. A contact whose submissions were removed by retention is refused.',
    access: 'workspace',
    permission: 'contacts:write',
    params: contactParams,
    responses: { 200: { description: 'The contact, and what differed', schema: rebuilt } },
    async handle(context, { params }) {
      const { tx, workspaceId } = context;
      const before = await lockContact(tx, workspaceId, params.contact_id);
      if (!before) throw notFound('contact');
      const { profile, submissions, complete } = await foldSubmissions(tx, workspaceId, before.id);
      const detail = 'Its submissions are not complete any more, so that its profile cannot be made from them.';
      if (!complete || snapshotProblem(profile.fields))
        throw wrongState('history of this contact', 'INCOMPLETE', detail);
      const stored = toProfile(before);
      const changes = profileDifference(stored, { ...profile, email: stored.email });
      const same = isEmptyChange(changes);
      if (!same) await restoreProfile(tx, workspaceId, before.id, profile);
      const after = same ? before : await findContact(tx, workspaceId, before.id);
      if (!after) throw new Error('a contact vanished while it was locked');
      await context.audit({
        action: 'contact.rebuild',
        entityType: 'contact',
        entityId: before.id,
        old: showContact(before),
        new: showContact(after),
      });
      const said = { ...toSubmissionPayload(changes) };
      return {
        status: 200,
        body: { submissions, same, changes: said, contact: showContact(after) },
        version: after.version,
      };
    },
  }),
];
