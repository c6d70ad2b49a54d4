import { listAudit } from '../../db/workspace';
import { defineRoute } from '../http/route';
import { cutPage, decodeIdCursor, id, moment, pageOf, pageQuery, plainText } from '../http/schemas';
import { auditEntry, showAuditEntry } from './schemas';

export const listAuditEntries = defineRoute({
  operationId: 'listAudit',
  method: 'get',
  path: '/workspaces/{ws}/audit',
  tag: 'Audit',
  summary: 'Read the audit trail, newest first',
  description:
    'Every change by a person, a key, the public or the system itself. `actor` is the id of a user or a key.',
  access: 'workspace',
  permission: 'audit:read',
  query: pageQuery.extend({
    entity_type: plainText(100).optional(),
    entity_id: id.optional(),
    actor: id.optional(),
    action: plainText(100).optional(),
    from: moment.optional(),
    to: moment.optional().openapi({ description: 'Exclusive' }),
  }),
  responses: { 200: { description: 'A page of the trail', schema: pageOf(auditEntry) } },
  async handle({ tx, workspaceId }, { query }) {
    const rows = await listAudit(
      tx,
      workspaceId,
      {
        entityType: query.entity_type ?? null,
        entityId: query.entity_id ?? null,
        actor: query.actor ?? null,
        action: query.action ?? null,
        from: query.from ?? null,
        to: query.to ?? null,
      },
      { before: decodeIdCursor(query.cursor), limit: query.limit + 1 },
    );
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showAuditEntry) };
  },
});
