import type { ConditionTree } from '../../domain/audiences';
import { type CompiledContent, canonicalHash } from '../../domain/content';
import type { PermittedRouting } from '../../domain/senders';
import { one, type Queryable, sql } from '../../platform/postgres';

export type MessageOrigin = 'CAMPAIGN' | 'TEMPLATE' | 'TEST' | 'STEP';
export type ApprovalState = 'NONE' | 'SUBMITTED' | 'APPROVED' | 'REJECTED' | 'VOIDED';

/** Whom a campaign's message goes to; ids only. */
export interface AudienceDefinition {
  include: string[];
  exclude: string[];
  /** All contacts that granted the message's purpose, instead of `include`. */
  allConsented: boolean;
  /** Narrow these, or all contacts where nothing is included. */
  conditions?: ConditionTree;
  /** Hashes of the dynamic audiences' definitions, by id: what they mean is approved, too. */
  definitions?: Record<string, string>;
}

/** Everything that an approval pins. */
export interface FrozenContent {
  origin: MessageOrigin;
  campaignId: string | null;
  templateId: string | null;
  templateVersion: number | null;
  subject: string;
  html: string;
  text: string;
  previewText: string;
  fromName: string;
  fromEmail: string;
  /** From addresses that may be used instead: a sequence's mailboxes. Absent or null: `fromEmail` alone. */
  permittedSenders?: string[] | null;
  /** What may be chosen of pool, From and providers when it is sent. Absent or null: nothing but what is in order. */
  routing?: PermittedRouting | null;
  replyTo: string | null;
  categoryId: string | null;
  purposeId: string | null;
  templateContext: Record<string, unknown>;
  templateDefaults: Record<string, unknown>;
  tracking: boolean;
  audience: AudienceDefinition | null;
  compiled: CompiledContent;
}

/** A row of `messages` with its links. */
export interface FrozenMessage extends FrozenContent {
  workspaceId: string;
  id: string;
  sha256: string;
  approval: ApprovalState;
  authors: string[];
  submittedBy: string | null;
  submittedAt: Date | null;
  createdAt: Date;
}

/**
 * The canonical SHA-256 of what would be sent, to whom and from whom. One identity per From address exists, so the
 * permitted senders are that address.
 */
export function messageHash(content: FrozenContent): string {
  return canonicalHash({
    channel: 'email',
    origin: content.origin,
    campaign_id: content.campaignId,
    template: content.templateId === null ? null : { id: content.templateId, version: content.templateVersion },
    subject: content.subject,
    html: content.html,
    text: content.text,
    preview_text: content.previewText,
    from: { name: content.fromName, email: content.fromEmail, reply_to: content.replyTo },
    permitted_senders: content.permittedSenders ?? [content.fromEmail],
    // Left out where there is none, so that what was approved before routing existed keeps its hash.
    routing: content.routing ?? undefined,
    category_id: content.categoryId,
    purpose_id: content.purposeId,
    template_context: content.templateContext,
    template_defaults: content.templateDefaults,
    tracking: content.tracking,
    audience: content.audience,
    compiled: content.compiled,
  });
}

/** Writes a frozen message and its link table. Null: an equal TEMPLATE message exists already. */
export async function insertMessage(
  tx: Queryable,
  message: FrozenContent & {
    workspaceId: string;
    approval: 'NONE' | 'SUBMITTED';
    authors: string[];
    submittedBy: string | null;
  },
): Promise<{ id: string; sha256: string } | null> {
  const { links, ...compiled } = message.compiled;
  const sha256 = messageHash(message);
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO messages (workspace_id, origin, campaign_id, template_id, template_version, subject, html, text,
          preview_text, from_name, from_email, permitted_senders, routing, reply_to, category_id, purpose_id, template_context, template_defaults,
          tracking, audience, compiled, sha256, approval, authors, submitted_by, submitted_at)
        VALUES (${message.workspaceId}, ${message.origin}, ${message.campaignId}, ${message.templateId},
          ${message.templateVersion}, ${message.subject}, ${message.html}, ${message.text}, ${message.previewText},
          ${message.fromName}, ${message.fromEmail}, ${message.permittedSenders ?? null},
          ${message.routing ? JSON.stringify(message.routing) : null}, ${message.replyTo}, ${message.categoryId}, ${message.purposeId},
          ${JSON.stringify(message.templateContext)}, ${JSON.stringify(message.templateDefaults)}, ${message.tracking},
          ${message.audience === null ? null : JSON.stringify(message.audience)}, ${JSON.stringify(compiled)}, ${sha256},
          ${message.approval}, ${message.authors}, ${message.submittedBy},
          ${message.approval === 'SUBMITTED' ? sql`sally_now()` : null})
        ON CONFLICT (workspace_id, template_id, template_version, sha256) WHERE origin = 'TEMPLATE' DO NOTHING
        RETURNING id`,
  );
  if (!row) return null;
  if (links.length > 0) {
    await tx.query(sql`
      INSERT INTO links (workspace_id, message_id, position, url)
      SELECT ${message.workspaceId}, ${row.id}, link.position - 1, link.url
      FROM unnest(${links}::text[]) WITH ORDINALITY AS link (url, position)`);
  }
  return { id: row.id, sha256 };
}

/** A frozen message with its links, or null. */
export async function findMessage(
  db: Queryable,
  workspaceId: string,
  messageId: string,
): Promise<FrozenMessage | null> {
  const row = await one<MessageRow>(
    db,
    sql`SELECT m.*, coalesce((SELECT array_agg(l.url ORDER BY l.position) FROM links l
          WHERE l.workspace_id = m.workspace_id AND l.message_id = m.id), '{}') AS links
        FROM messages m WHERE m.workspace_id = ${workspaceId} AND m.id = ${messageId}`,
  );
  return row && toMessage(row);
}

/** Whether what is stored still is what its hash says; anything else must not be sent. */
export function isIntact(message: FrozenMessage): boolean {
  return messageHash(message) === message.sha256;
}

interface MessageRow {
  workspace_id: string;
  id: string;
  origin: MessageOrigin;
  campaign_id: string | null;
  template_id: string | null;
  template_version: number | null;
  subject: string;
  html: string;
  text: string;
  preview_text: string;
  from_name: string;
  from_email: string;
  permitted_senders: string[] | null;
  routing: PermittedRouting | null;
  reply_to: string | null;
  category_id: string | null;
  purpose_id: string | null;
  template_context: Record<string, unknown>;
  template_defaults: Record<string, unknown>;
  tracking: boolean;
  audience: AudienceDefinition | null;
  compiled: Omit<CompiledContent, 'links'>;
  links: string[];
  sha256: string;
  approval: ApprovalState;
  authors: string[];
  submitted_by: string | null;
  submitted_at: Date | null;
  created_at: Date;
}

function toMessage(row: MessageRow): FrozenMessage {
  return {
    workspaceId: row.workspace_id,
    id: row.id,
    origin: row.origin,
    campaignId: row.campaign_id,
    templateId: row.template_id,
    templateVersion: row.template_version,
    subject: row.subject,
    html: row.html,
    text: row.text,
    previewText: row.preview_text,
    fromName: row.from_name,
    fromEmail: row.from_email,
    permittedSenders: row.permitted_senders,
    routing: row.routing,
    replyTo: row.reply_to,
    categoryId: row.category_id,
    purposeId: row.purpose_id,
    templateContext: row.template_context,
    templateDefaults: row.template_defaults,
    tracking: row.tracking,
    audience: row.audience,
    compiled: { ...row.compiled, links: row.links },
    sha256: row.sha256,
    approval: row.approval,
    authors: row.authors,
    submittedBy: row.submitted_by,
    submittedAt: row.submitted_at,
    createdAt: row.created_at,
  };
}
