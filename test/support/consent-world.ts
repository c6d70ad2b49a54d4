import { seedConsent } from '../../db/consent';
import { signOptInToken } from '../../domain/consent';
import { type MessageReference, type MessageTokenPurpose, sealMessageToken } from '../../domain/tracking';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import type { TestApi, TestWorkspace } from './api';

/** A sent message with links, as the tracking and unsubscribe links in it see it. */
export interface SentMessage extends MessageReference {
  workspaceId: string;
  contactId: string | null;
  purposeId: string;
  categoryId: string;
  campaignId: string;
}

/** A workspace with what every new workspace begins with. */
export async function consentWorkspace(api: TestApi): Promise<TestWorkspace> {
  const workspace = await api.createWorkspace('Consent & Co');
  await seedConsent(api.db, workspace.id);
  return workspace;
}

/** The open requests of an address, or all. */
export function requestsOf(api: TestApi, workspaceId: string, email: string) {
  return many<{
    id: string;
    contact_id: string;
    status: string;
    mails_requested: number;
    expires_at: Date;
    wording_version: number;
  }>(
    api.db,
    sql`SELECT r.id, r.contact_id, r.status, r.mails_requested, r.expires_at, r.wording_version FROM opt_in_requests r
        JOIN contacts c ON c.workspace_id = r.workspace_id AND c.id = r.contact_id
        WHERE r.workspace_id = ${workspaceId} AND c.email = ${email} ORDER BY r.id`,
  );
}

/** The token that the mail of a request carries. */
export async function confirmToken(api: TestApi, workspaceId: string, requestId: string): Promise<string> {
  const request = await one<{ expires_at: Date }>(
    api.db,
    sql`SELECT expires_at FROM opt_in_requests WHERE workspace_id = ${workspaceId} AND id = ${requestId}`,
  );
  if (!request) throw new Error('no such request');
  return signOptInToken(api.deps.keyring, { workspaceId, requestId }, request.expires_at);
}

/** Inserts a campaign's message with `urls` and one SENT delivery to a new contact (or to an address alone). */
export async function sentMessage(
  api: TestApi,
  workspaceId: string,
  options: { urls?: readonly string[]; class?: 'bulk' | 'transactional' | 'test'; withoutContact?: string } = {},
): Promise<SentMessage> {
  const { db } = api;
  const ids = { message: uuidv7(), source: uuidv7(), delivery: uuidv7(), campaign: uuidv7() };
  const purpose = await one<{ id: string }>(
    db,
    sql`SELECT id FROM purposes WHERE workspace_id = ${workspaceId} AND key = 'newsletter'`,
  );
  const category = await one<{ id: string }>(
    db,
    sql`SELECT id FROM preference_categories WHERE workspace_id = ${workspaceId} AND key = 'newsletter'`,
  );
  if (!purpose || !category) throw new Error('the workspace is not seeded');
  const email = options.withoutContact ?? `${ids.delivery}@recipients.example`;
  const emailHash = api.deps.addressHasher.hash(email);
  const contact =
    options.withoutContact === undefined
      ? await one<{ id: string }>(
          db,
          sql`INSERT INTO contacts (workspace_id, email, email_hash) VALUES (${workspaceId}, ${email}, ${emailHash}) RETURNING id`,
        )
      : null;
  await db.query(sql`
    INSERT INTO messages (workspace_id, id, origin, campaign_id, subject, html, text, from_name, from_email, category_id,
      purpose_id, compiled, sha256, approval)
    VALUES (${workspaceId}, ${ids.message}, 'CAMPAIGN', ${ids.campaign}, 'Subject', '', '', '', 'news@mail.example',
      ${category.id}, ${purpose.id}, '{}', 'none', 'APPROVED')`);
  await db.query(sql`
    INSERT INTO links (workspace_id, message_id, position, url)
    SELECT ${workspaceId}, ${ids.message}, position - 1, url
    FROM unnest(${[...(options.urls ?? [])]}::text[]) WITH ORDINALITY AS link (url, position)`);
  const lane = await one<{ id: string }>(
    db,
    sql`INSERT INTO lanes (workspace_id, kind) VALUES (${workspaceId}, 'pool')
        ON CONFLICT (workspace_id, kind, key) DO UPDATE SET kind = excluded.kind RETURNING id`,
  );
  await db.query(sql`
    INSERT INTO deliveries (workspace_id, source_type, source_id, id, step_key, recipient_key, contact_id, address,
      address_hash, message_id, lane_id, stream_id, mx_group, class, priority, status, not_before, sent_at)
    VALUES (${workspaceId}, 'CAMPAIGN', ${ids.source}, ${ids.delivery}, 'send', ${ids.delivery}, ${contact?.id ?? null},
      ${email}, ${emailHash}, ${ids.message}, ${lane?.id}, ${uuidv7()}, 'other', ${options.class ?? 'bulk'}, 10, 'SENT',
      sally_now(), sally_now())`);
  return {
    sourceId: ids.source,
    deliveryId: ids.delivery,
    messageId: ids.message,
    workspaceId,
    contactId: contact?.id ?? null,
    purposeId: purpose.id,
    categoryId: category.id,
    campaignId: ids.campaign,
  };
}

/** The token of a link in a sent message. */
export function messageToken(api: TestApi, purpose: MessageTokenPurpose, message: MessageReference): string {
  return sealMessageToken(api.deps.keyring, purpose, message);
}
