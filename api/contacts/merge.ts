import { findContact, lockForMerge, type MergeReport, mergeContacts } from '../../db/contacts';
import { OPT_IN_CHANGED_SIGNAL, optInWorkflowId } from '../../domain/consent/contract';
import { hintWorkflow } from '../../platform/temporal';
import { invalidField, notFound, wrongState } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { id, z } from '../http/schemas';
import { CONTACTS, contact, contactParams, showContact, TAG } from './schemas';

const mergeRequest = z.strictObject({ contact_id: id.openapi({ description: 'The contact that ends.' }) });

export const mergeRoutes = [
  defineRoute({
    method: 'post',
    path: `${CONTACTS}/{contact_id}/merge`,
    operationId: 'mergeContacts',
    tag: TAG,
    summary: 'Merges another contact into this one',
    description:
      'Both are one person. This contact keeps its address and what it says of itself; gaps are filled from the other one. The stricter consent, status and preferences hold, suppressions by complaint or by hand follow, and so do lists, external ids and history. Nobody gets the same message by both. The id of the other one redirects here for good. Repeating it changes nothing; it cannot be undone.',
    access: 'workspace',
    permission: 'contacts:write',
    idempotent: true,
    params: contactParams,
    body: mergeRequest,
    responses: { 200: { description: 'The contact that remains', schema: contact } },
    async handle(context, { params, body }) {
      const { tx, workspaceId, deps, actor } = context;
      const [survivorId, otherId] = [params.contact_id, body.contact_id];
      if (survivorId === otherId) throw invalidField('contact_id', 'A contact cannot be merged with itself.');
      const { survivor, other } = await lockForMerge(tx, workspaceId, survivorId, otherId);
      if (!survivor) throw notFound('contact');
      if (survivor.merged_into !== null) {
        throw wrongState('contact', 'MERGED', `Merge into ${survivor.merged_into} instead.`);
      }
      if (survivor.erased_at !== null) throw notFound('contact');
      if (!other) throw invalidField('contact_id', 'No contact with this id exists in this workspace.');
      if (other.merged_into !== survivor.id) {
        if (other.merged_into !== null) {
          throw wrongState('other contact', 'MERGED', `Its person is ${other.merged_into} now; merge that one.`);
        }
        if (other.erased_at !== null) throw wrongState('other contact', 'ERASED', 'Nothing is left to be merged.');
        const by = { hasher: deps.addressHasher, actorId: actor.userId };
        const report = await mergeContacts(tx, workspaceId, survivor, other, by);
        await auditMerge(context, survivor.id, other.id, report);
        for (const request of report.closedRequests) {
          context.afterCommit(() => hintWorkflow(deps.temporal, optInWorkflowId(request), OPT_IN_CHANGED_SIGNAL));
        }
      }
      const row = await findContact(tx, workspaceId, survivor.id);
      if (!row) throw new Error('a contact vanished while it was locked');
      return { status: 200, body: showContact(row), version: row.version };
    },
  }),
];

async function auditMerge(context: WorkspaceContext, survivorId: string, otherId: string, report: MergeReport) {
  await context.audit({
    action: 'contact.merge',
    entityType: 'contact',
    entityId: survivorId,
    new: {
      merged_contact_id: otherId,
      cancelled_deliveries: report.cancelledDeliveries,
      moved_deliveries: report.movedDeliveries,
      closed_opt_in_requests: report.closedRequests,
    },
  });
}
