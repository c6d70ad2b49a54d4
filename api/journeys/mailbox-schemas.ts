import type { MailboxRow } from '../../db/journeys';
import { emailAddress, headerText, id, moment, z } from '../http/schemas';
import { sendWindow, shownWindow } from './schemas';

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

export const newMailbox = z
  .strictObject({ email: emailAddress, ...fields })
  .partial({ display_name: true, reply_to: true, send_window: true, is_active: true });
export const mailboxChange = z.strictObject(fields).partial();

export const units = {
  daily_quota: z.number().int(),
  used: z.number().int().openapi({ description: 'Begun today: accepted, refused by a server, or not known.' }),
  reserved: z.number().int().openapi({ description: 'Planned for today.' }),
  left: z.number().int(),
};

export const mailbox = z
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

/** The day of a mailbox in units of its quota. */
export function unitsOf(row: Pick<MailboxRow, 'daily_quota' | 'used' | 'reserved'>) {
  const { daily_quota, used, reserved } = row;
  return { daily_quota, used, reserved, left: Math.max(0, daily_quota - used - reserved) };
}

export function showMailbox(row: MailboxRow) {
  const { display_name, reply_to, provider_id, send_window, is_active, version } = row;
  return {
    ...{ id: row.id, email: row.email, display_name, reply_to, provider_id, send_window, is_active },
    ...{ ...unitsOf(row), version },
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
