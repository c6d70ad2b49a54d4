import {
  deleteMailbox,
  insertMailbox,
  listMailboxes,
  type MailboxRow,
  mailboxInUse,
  planLock,
  releasePlanned,
  updateMailbox,
} from '../../db/journeys';
import { canonicalHash } from '../../domain/content';
import { violatedConstraint } from '../../platform/postgres';
import { invalidField, Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import { cutPage, decodeIdCursor, pageOf, pageQuery, problemDocument } from '../http/schemas';
import { mailboxDayRoutes } from './mailbox-day';
import { mailbox, mailboxChange, newMailbox, showMailbox } from './mailbox-schemas';
import { ONE, PATH, params, requireMailbox, TAG } from './mailbox-shared';
import { planSoon } from './plan-soon';

const audited = ({ display_name, reply_to, provider_id, daily_quota, send_window, is_active }: MailboxRow) => ({
  ...{ display_name, reply_to, provider_id, daily_quota, send_window, is_active },
});

/** Held against plans until the end of the transaction, and at the version that the client means. */
async function requireLocked(context: WorkspaceContext, mailboxId: string, ifMatch: number | null) {
  await planLock(context.tx, context.workspaceId);
  const row = await requireMailbox(context, mailboxId);
  if (ifMatch !== null && ifMatch !== row.version) {
    throw new Problem('version-mismatch', `The mailbox is at version ${row.version}. Read it again, then change it.`);
  }
  return row;
}

function refuse(error: unknown): never {
  const constraint = violatedConstraint(error);
  if (constraint === 'mailboxes_provider') throw invalidField('provider_id', 'is no provider of this workspace');
  if (constraint === 'mailboxes_email') {
    throw new Problem('conflict', 'A mailbox with this address exists already.', {
      errors: [{ pointer: '/body/email', detail: 'is in use' }],
    });
  }
  throw error;
}

const create = defineRoute({
  operationId: 'createMailbox',
  method: 'post',
  path: PATH,
  tag: TAG,
  summary: 'Adds a mailbox that sequences may send from',
  description: 'The address cannot be changed later: approvals cover it.',
  access: 'workspace',
  permission: 'senders:write',
  idempotent: true,
  body: newMailbox,
  responses: { 201: { description: 'The mailbox', schema: mailbox } },
  async handle(context, { body }) {
    const values = {
      displayName: body.display_name ?? '',
      replyTo: body.reply_to ?? null,
      providerId: body.provider_id,
      dailyQuota: body.daily_quota,
      sendWindow: body.send_window ?? null,
      isActive: body.is_active ?? true,
    };
    const { tx, workspaceId, actor } = context;
    const made = await insertMailbox(tx, workspaceId, body.email, values, actor.userId).catch(refuse);
    const row = await requireMailbox(context, made);
    await context.audit({
      action: 'mailbox.create',
      entityType: 'mailbox',
      entityId: made,
      new: { email: row.email, ...audited(row) },
    });
    return { status: 201, body: showMailbox(row), version: row.version };
  },
});

const list = defineRoute({
  operationId: 'listMailboxes',
  method: 'get',
  path: PATH,
  tag: TAG,
  summary: 'Lists the mailboxes with their day, oldest first',
  access: 'workspace',
  permission: 'senders:read',
  query: pageQuery,
  responses: { 200: { description: 'A page of mailboxes', schema: pageOf(mailbox) } },
  async handle({ tx, workspaceId }, { query }) {
    const rows = await listMailboxes(tx, workspaceId, decodeIdCursor(query.cursor), query.limit + 1);
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], showMailbox) };
  },
});

const get = defineRoute({
  operationId: 'getMailbox',
  method: 'get',
  path: ONE,
  tag: TAG,
  summary: 'Shows a mailbox with its day',
  access: 'workspace',
  permission: 'senders:read',
  params,
  responses: { 200: { description: 'The mailbox', schema: mailbox } },
  async handle(context, input) {
    const row = await requireMailbox(context, input.params.mailbox_id);
    return { status: 200, body: showMailbox(row), version: row.version };
  },
});

const update = defineRoute({
  operationId: 'updateMailbox',
  method: 'patch',
  path: ONE,
  tag: TAG,
  summary: 'Changes a mailbox',
  description:
    'A quota may be lowered below what is used or planned: nothing more is sent today than was begun or fits the new ' +
    'quota, and the latest of what is planned waits for another slot. Another window gives planned mail other slots. ' +
    'Honours If-Match.',
  access: 'workspace',
  permission: 'senders:write',
  params,
  body: mailboxChange,
  responses: {
    200: { description: 'The mailbox', schema: mailbox },
    412: { description: 'It was changed in the meantime', schema: problemDocument },
  },
  async handle(context, { params: { mailbox_id }, body, ifMatch }) {
    const { tx, workspaceId } = context;
    const old = await requireLocked(context, mailbox_id, ifMatch);
    const values = {
      displayName: body.display_name ?? old.display_name,
      replyTo: body.reply_to === undefined ? old.reply_to : body.reply_to,
      providerId: body.provider_id ?? old.provider_id,
      dailyQuota: body.daily_quota ?? old.daily_quota,
      sendWindow: body.send_window === undefined ? old.send_window : body.send_window,
      isActive: body.is_active ?? old.is_active,
    };
    await updateMailbox(tx, workspaceId, mailbox_id, values).catch(refuse);
    // Another window gives all that is planned other slots.
    const staysOpen = canonicalHash(values.sendWindow) === canonicalHash(old.send_window);
    const keep = values.isActive && staysOpen ? Math.max(0, values.dailyQuota - old.used) : 0;
    if (keep < old.reserved) await releasePlanned(tx, workspaceId, { mailboxId: mailbox_id, keep });
    const row = await requireMailbox(context, mailbox_id);
    await context.audit({
      action: 'mailbox.update',
      entityType: 'mailbox',
      entityId: mailbox_id,
      old: audited(old),
      new: audited(row),
    });
    planSoon(context);
    return { status: 200, body: showMailbox(row), version: row.version };
  },
});

const remove = defineRoute({
  operationId: 'deleteMailbox',
  method: 'delete',
  path: ONE,
  tag: TAG,
  summary: 'Removes a mailbox that nothing depends on',
  access: 'workspace',
  permission: 'senders:write',
  params,
  responses: {
    204: { description: 'Removed' },
    409: { description: 'Mail is planned, or enrolments and sequences use it', schema: problemDocument },
  },
  async handle(context, { params: { mailbox_id }, ifMatch }) {
    const { tx, workspaceId } = context;
    const old = await requireLocked(context, mailbox_id, ifMatch);
    const use = await mailboxInUse(tx, workspaceId, mailbox_id);
    if (use.planned + use.enrolments + use.sequences > 0) {
      const detail =
        `The mailbox is in use: ${use.planned} planned mails, ${use.enrolments} active enrolments, ${use.sequences} sequences. ` +
        'Set is_active to false to stop it at once; to delete it, take it out of its sequences, and stop its ' +
        'enrolments or let them end.';
      throw new Problem('conflict', detail, { members: use });
    }
    await deleteMailbox(tx, workspaceId, mailbox_id);
    await context.audit({
      action: 'mailbox.delete',
      entityType: 'mailbox',
      entityId: mailbox_id,
      old: { email: old.email, ...audited(old) },
    });
    return { status: 204 };
  },
});

export const mailboxRoutes: AnyRoute[] = [create, list, get, update, remove, ...mailboxDayRoutes];
