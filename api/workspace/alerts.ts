import { type Alert, acknowledgeAlert, listAlerts, lockAlert, resolveAlert } from '../../db/workspace';
import { notFound } from '../http/problem';
import { defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, id, pageOf, pageQuery, z } from '../http/schemas';
import { alert, showAlert } from './schemas';

const TAG = 'Alerts';
const BASE = '/workspaces/{ws}/alerts';
const params = z.object({ alert_id: id });

export const listWorkspaceAlerts = defineRoute({
  operationId: 'listAlerts',
  method: 'get',
  path: BASE,
  tag: TAG,
  summary: 'List alerts, newest first',
  description: 'One alert per open cause; `occurrences` counts how often it was seen.',
  access: 'workspace',
  permission: 'alerts:read',
  query: pageQuery.extend({ status: z.enum(['open', 'all']).default('open') }),
  responses: { 200: { description: 'A page of alerts', schema: pageOf(alert) } },
  async handle({ tx, workspaceId }, { query }) {
    const before = decodeIdCursor(query.cursor);
    const rows = await listAlerts(tx, workspaceId, {
      openOnly: query.status === 'open',
      before,
      limit: query.limit + 1,
    });
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showAlert) };
  },
});

async function requireLocked(context: WorkspaceContext, alertId: string): Promise<Alert> {
  const found = await lockAlert(context.tx, context.workspaceId, alertId);
  if (!found) throw notFound('alert');
  return found;
}

export const acknowledgeWorkspaceAlert = defineRoute({
  operationId: 'acknowledgeAlert',
  method: 'post',
  path: `${BASE}/{alert_id}/acknowledge`,
  tag: TAG,
  summary: 'Note that you have seen an alert',
  description: 'It stays open until its cause is gone or it is resolved. Repeating changes nothing.',
  access: 'workspace',
  permission: 'alerts:write',
  params,
  responses: { 200: { description: 'Acknowledged', schema: alert } },
  async handle(context, input) {
    const { tx, workspaceId, actor } = context;
    const found = await requireLocked(context, input.params.alert_id);
    if (found.acknowledgedAt) return { status: 200, body: showAlert(found) };
    const noted = await acknowledgeAlert(tx, workspaceId, found.id, actor.userId);
    await context.audit({ action: 'alert.acknowledge', entityType: 'alert', entityId: found.id });
    return { status: 200, body: showAlert(noted) };
  },
});

export const resolveWorkspaceAlert = defineRoute({
  operationId: 'resolveAlert',
  method: 'post',
  path: `${BASE}/{alert_id}/resolve`,
  tag: TAG,
  summary: 'Close an alert',
  description: 'If its cause is seen again, a new alert opens. Repeating changes nothing.',
  access: 'workspace',
  permission: 'alerts:write',
  params,
  responses: { 200: { description: 'Resolved', schema: alert } },
  async handle(context, input) {
    const found = await requireLocked(context, input.params.alert_id);
    if (found.resolvedAt) return { status: 200, body: showAlert(found) };
    const closed = await resolveAlert(context.tx, context.workspaceId, found.id);
    await context.audit({ action: 'alert.resolve', entityType: 'alert', entityId: found.id });
    return { status: 200, body: showAlert(closed) };
  },
});
