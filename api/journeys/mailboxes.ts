import {
  deleteMailbox,
  findMailbox,
  insertMailbox,
  listMailboxes,
  type MailboxRow,
  mailboxInUse,
  mailboxSchedule,
  planLock,
  providerQuotas,
  releasePlanned,
  updateMailbox,
  workspaceDate,
} from '../../db/journeys';
import { canonicalHash } from '../../domain/content';
import { violatedConstraint } from '../../platform/postgres';
import { invalidField, notFound, Problem } from '../http/problem';
import { type AnyRoute, defineRoute, type WorkspaceContext } from '../http/route';
import {
  cutPage,
  decodeIdCursor,
  emailAddress,
  headerText,
  id,
  moment,
  pageOf,
  pageQuery,
  problemDocument,
  z,
} from '../http/schemas';
import { planSoon } from './plan-soon';
import { sendWindow, shownWindow } from './schemas';

const BASE = '/workspaces/{ws}/email-infrastructure';
const PATH = `${BASE}/mailboxes`;
const ONE = `${PATH}/{mailbox_id}`;
const TAG = 'Sequences';
const params = z.strictObject({ mailbox_id: id });

const quota = z.number().int().min(1).max(100_000);
const fields = {
  display_name: headerText(255),
  reply_to: emailAddress.nullable(),
  provider_id: id.openapi({ description: 'The provider that its mail is sent through.' }),
  daily_quota: quota.openapi({ description: 'Mails a day, by the workspace’s local date.' }),
  send_window: sendWindow.nullable().openapi({
    description:
      'When this mailbox sends, in the place of the windows of its sequences and of the contacts’ zones; its quota is ' +
      'spread over it. null (default) = as the sequence says.',
  }),
  is_active: z.boolean().openapi({ description: 'False: nothing is planned or sent; what is planned waits.' }),
};

const newMailbox = z
  .strictObject({ email: emailAddress, ...fields })
  .partial({ display_name: true, reply_to: true, send_window: true, is_active: true });
const mailboxChange = z.strictObject(fields).partial();

const units = {
  daily_quota: z.number().int(),
  used: z.number().int().openapi({ description: 'Begun today: accepted, refused by a server, or not known.' }),
  reserved: z.number().int().openapi({ description: 'Planned for today.' }),
  left: z.number().int(),
};

const mailbox = z
  .object({
    id: z.uuid(),
    email: z.string(),
    display_name: z.string(),
    reply_to: z.string().nullable(),
    provider_id: z.uuid(),
    send_window: shownWindow.nullable(),
    is_active: z.boolean(),
    ...units,
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Mailbox');

const schedule = z
  .object({
    mailbox_id: z.uuid(),
    date: z.iso.date(),
    time_zone: z.string(),
    send_window: shownWindow.nullable().openapi({ description: 'Its own; null = as its sequences say.' }),
    ...units,
    mails: z.array(
      z.object({
        delivery_id: z.uuid(),
        sequence_id: z.uuid(),
        enrolment_id: z.uuid(),
        contact_id: z.uuid().nullable(),
        step_number: z.number().int(),
        status: z.string(),
        reason: z.string().nullable(),
        slot_at: moment,
        sent_at: moment.nullable(),
      }),
    ),
  })
  .openapi('MailboxSchedule');

const quotas = z
  .object({
    date: z.iso.date(),
    time_zone: z.string(),
    mailboxes: z.array(z.object({ id: z.uuid(), email: z.string(), is_active: z.boolean(), ...units })),
    providers: z.array(
      z.object({
        id: z.uuid(),
        name: z.string(),
        max_sends_per_day: z.number().int(),
        used: z.number().int(),
        left: z.number().int(),
      }),
    ),
  })
  .openapi('Quotas');

function unitsOf(row: Pick<MailboxRow, 'daily_quota' | 'used' | 'reserved'>) {
  const { daily_quota, used, reserved } = row;
  return { daily_quota, used, reserved, left: Math.max(0, daily_quota - used - reserved) };
}

function show(row: MailboxRow) {
  const { display_name, reply_to, provider_id, send_window, is_active, version } = row;
  return {
    ...{ id: row.id, email: row.email, display_name, reply_to, provider_id, send_window, is_active },
    ...{ ...unitsOf(row), version },
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

const audited = ({ display_name, reply_to, provider_id, daily_quota, send_window, is_active }: MailboxRow) => ({
  ...{ display_name, reply_to, provider_id, daily_quota, send_window, is_active },
});

async function requireMailbox(context: WorkspaceContext, mailboxId: string): Promise<MailboxRow> {
  const row = await findMailbox(context.tx, context.workspaceId, mailboxId);
  if (!row) throw notFound('mailbox');
  return row;
}

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
    return { status: 201, body: show(row), version: row.version };
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
    return { status: 200, body: cutPage(rows, query.limit, (row) => [row.id], show) };
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
    return { status: 200, body: show(row), version: row.version };
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
    return { status: 200, body: show(row), version: row.version };
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

const showSchedule = defineRoute({
  operationId: 'getMailboxSchedule',
  method: 'get',
  path: `${ONE}/schedule`,
  tag: TAG,
  summary: 'Shows what a mailbox sends on a day, mail by mail',
  description: 'By the workspace’s local date, default today. Mails are planned for the current day only.',
  access: 'workspace',
  permission: 'senders:read',
  params,
  query: z.strictObject({ date: z.iso.date().optional() }),
  responses: { 200: { description: 'The day', schema: schedule } },
  async handle(context, { params: { mailbox_id }, query }) {
    const { tx, workspaceId } = context;
    const row = await requireMailbox(context, mailbox_id);
    const today = await workspaceDate(tx, workspaceId);
    const date = query.date ?? today.date;
    const mails = await mailboxSchedule(tx, workspaceId, mailbox_id, date);
    const reserved = mails.filter((mail) => mail.status === 'QUEUED').length;
    const body = {
      ...{ mailbox_id, date, time_zone: today.zone, send_window: row.send_window },
      ...unitsOf({ daily_quota: row.daily_quota, used: mails.length - reserved, reserved }),
      mails: mails.map(({ delivery_id, source_id, sequence_id, contact_id, step_number, status, reason, ...at }) => ({
        ...{ delivery_id, sequence_id, enrolment_id: source_id, contact_id, step_number, status, reason },
        slot_at: at.slot_at.toISOString(),
        sent_at: at.sent_at?.toISOString() ?? null,
      })),
    };
    return { status: 200, body };
  },
});

const showQuotas = defineRoute({
  operationId: 'getQuota',
  method: 'get',
  path: `${BASE}/quota`,
  tag: TAG,
  summary: 'Shows today’s quota of all mailboxes and of all providers with a daily limit',
  access: 'workspace',
  permission: 'senders:read',
  responses: { 200: { description: 'The day', schema: quotas } },
  async handle({ tx, workspaceId }) {
    const today = await workspaceDate(tx, workspaceId);
    const mailboxes = await listMailboxes(tx, workspaceId, null, 10_000);
    const providers = await providerQuotas(tx, workspaceId, today.date);
    const body = {
      ...{ date: today.date, time_zone: today.zone },
      mailboxes: mailboxes.map((row) => ({ id: row.id, email: row.email, is_active: row.is_active, ...unitsOf(row) })),
      providers: providers.map(({ id: providerId, name, limit, used }) => ({
        ...{ id: providerId, name, max_sends_per_day: limit, used, left: Math.max(0, limit - used) },
      })),
    };
    return { status: 200, body };
  },
});

export const mailboxRoutes: AnyRoute[] = [create, list, get, update, remove, showSchedule, showQuotas];
