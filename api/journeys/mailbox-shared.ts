import { findMailbox, type MailboxRow } from '../../db/journeys';
import { notFound } from '../http/problem';
import type { WorkspaceContext } from '../http/route';
import { id, z } from '../http/schemas';

export const BASE = '/workspaces/{ws}/email-infrastructure';
export const PATH = `${BASE}/mailboxes`;
export const ONE = `${PATH}/{mailbox_id}`;
export const TAG = 'Sequences';
export const params = z.strictObject({ mailbox_id: id });

/** The mailbox; 404 without it. */
export async function requireMailbox(context: WorkspaceContext, mailboxId: string): Promise<MailboxRow> {
  const row = await findMailbox(context.tx, context.workspaceId, mailboxId);
  if (!row) throw notFound('mailbox');
  return row;
}
