import { listMailboxes, mailboxSchedule, providerQuotas, workspaceDate } from '../../db/journeys';
import { type AnyRoute, defineRoute } from '../http/route';
import { moment, z } from '../http/schemas';
import { units, unitsOf } from './mailbox-schemas';
import { BASE, ONE, params, requireMailbox, TAG } from './mailbox-shared';
import { shownWindow } from './schemas';

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

/** What mailboxes and providers send today. */
export const mailboxDayRoutes: AnyRoute[] = [showSchedule, showQuotas];
