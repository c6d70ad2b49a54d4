import { findMessageLinks } from '../../db/tracking';
import { type MessageReference, openMessageToken } from '../../domain/tracking';
import type { PublicContext } from '../http/route';

/** The workspace and message of a genuine unsubscribe token, or null. */
export async function openUnsubscribeToken(
  context: PublicContext,
  token: string,
): Promise<{ workspaceId: string; reference: MessageReference } | null> {
  const reference = openMessageToken(context.deps.keyring, 'message-unsubscribe', token);
  if (!reference) return null;
  const message = await findMessageLinks(context.deps.db, reference.messageId);
  return message && { workspaceId: message.workspaceId, reference };
}
