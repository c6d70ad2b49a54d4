import { seedConsent } from '../../db/consent';
import {
  findWorkspace,
  foundWorkspace,
  hasDeliveries,
  lockWorkspace,
  updateWorkspace,
  type Workspace,
} from '../../db/workspace';
import type { Configuration } from '../../platform/config';
import { uuidv7 } from '../../platform/ids';
import { invalidField, notFound, Problem } from '../http/problem';
import { limitRate } from '../http/rate-limit';
import { defineRoute } from '../http/route';
import { newWorkspace, showWorkspace, workspace, workspaceChange } from './schemas';

const TAG = 'Workspace';

/** Domain of Message-IDs: that of the From address, else of the installation. */
function defaultMessageDomain(config: Configuration, fromEmail: string | null): string {
  const address = fromEmail ?? config.EMAIL_FROM;
  return address?.split('@').at(-1) ?? new URL(config.PUBLIC_URL).hostname;
}

export const createWorkspace = defineRoute({
  operationId: 'createWorkspace',
  method: 'post',
  path: '/workspaces',
  tag: TAG,
  summary: 'Create a workspace',
  description:
    'You become its owner. It starts with the purposes `newsletter` and `transactional`, a preference category and the mails of the double opt-in.',
  access: 'session',
  body: newWorkspace,
  responses: { 201: { description: 'Created', schema: workspace } },
  async handle(context, { body }) {
    const { deps, userId, requestId } = context;
    await limitRate(deps, 'create-workspace', [{ forWhom: userId, limit: 20, windowSeconds: 3_600 }]);
    const id = uuidv7();
    const created = await deps.db.workspaceTransaction(id, (tx) =>
      foundWorkspace(tx, {
        workspace: {
          id,
          name: body.name,
          slug: body.slug ?? null,
          timeZone: body.time_zone,
          fromName: body.from_name,
          fromEmail: body.from_email,
          postalAddress: body.postal_address,
          messageDomain: body.message_domain ?? defaultMessageDomain(deps.config, body.from_email),
        },
        ownerId: userId,
        seed: seedConsent,
        requestId,
      }),
    );
    if (!created) throw invalidField('slug', 'is taken');
    return { status: 201, body: showWorkspace(created), version: created.version };
  },
});

export const getWorkspace = defineRoute({
  operationId: 'getWorkspace',
  method: 'get',
  path: '/workspaces/{ws}',
  tag: TAG,
  summary: 'Read the workspace',
  access: 'workspace',
  permission: 'workspace:read',
  responses: { 200: { description: 'The workspace', schema: workspace } },
  async handle({ tx, workspaceId }) {
    const found = await findWorkspace(tx, workspaceId);
    if (!found) throw notFound('workspace');
    return { status: 200, body: showWorkspace(found), version: found.version };
  },
});

/** Only what differs, for the audit. */
function difference(before: Workspace, after: Workspace) {
  const old = showWorkspace(before);
  const now = showWorkspace(after);
  const keys = (Object.keys(now) as (keyof typeof now)[]).filter(
    (key) => !['version', 'updated_at'].includes(key) && JSON.stringify(old[key]) !== JSON.stringify(now[key]),
  );
  const pick = (from: typeof now) => Object.fromEntries(keys.map((key) => [key, from[key]]));
  return { old: pick(old), new: pick(now) };
}

export const patchWorkspace = defineRoute({
  operationId: 'updateWorkspace',
  method: 'patch',
  path: '/workspaces/{ws}',
  tag: TAG,
  summary: 'Change the workspace',
  description:
    'Fields that are left out stay as they are. `message_domain` is part of every Message-ID, so it can be changed only until the first message.',
  access: 'workspace',
  permission: 'workspace:write',
  body: workspaceChange,
  responses: {
    200: { description: 'Changed', schema: workspace },
    412: { description: 'It was changed in the meantime (If-Match)' },
  },
  async handle(context, { body, ifMatch }) {
    const { tx, workspaceId } = context;
    const before = await lockWorkspace(tx, workspaceId);
    if (!before) throw notFound('workspace');
    if (ifMatch !== null && ifMatch !== before.version) {
      throw new Problem('version-mismatch', `The workspace is at version ${before.version}. Read it again.`);
    }
    const domain = body.message_domain;
    if (domain !== undefined && domain !== before.messageDomain && (await hasDeliveries(tx, workspaceId))) {
      throw new Problem(
        'conflict',
        'Messages were made with this message_domain already; a changed one would give a resent message another Message-ID.',
        { errors: [{ pointer: '/body/message_domain', detail: 'can no longer be changed' }] },
      );
    }
    const reminder = body.opt_in_reminder_seconds ?? before.optInReminderSeconds;
    if (reminder >= (body.opt_in_expiry_seconds ?? before.optInExpirySeconds)) {
      throw invalidField('opt_in_reminder_seconds', 'must be less than opt_in_expiry_seconds');
    }
    const after = await updateWorkspace(tx, workspaceId, {
      name: body.name,
      timeZone: body.time_zone,
      defaultLocale: body.default_locale,
      messageDomain: domain,
      fromName: body.from_name,
      fromEmail: body.from_email,
      postalAddress: body.postal_address,
      approvalMode: body.approval_mode,
      optInReminderSeconds: body.opt_in_reminder_seconds,
      optInExpirySeconds: body.opt_in_expiry_seconds,
      templateContext: body.template_context,
      testRecipients: body.test_recipients && [...new Set(body.test_recipients)],
    });
    await context.audit({
      action: 'workspace.update',
      entityType: 'workspace',
      entityId: workspaceId,
      ...difference(before, after),
    });
    return { status: 200, body: showWorkspace(after), version: after.version };
  },
});
