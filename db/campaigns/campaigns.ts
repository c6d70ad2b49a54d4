import type { ConditionTree } from '../../domain/audiences';
import type { SendWindow } from '../../domain/campaigns/send-window';
import type { CampaignState } from '../../domain/campaigns/transitions';
import type { RoutingConfig } from '../../domain/senders';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';
import type { ApprovalState } from '../content';

/** What an approval pins, as the campaign's author wrote it. */
export interface CampaignContent {
  template_id: string | null;
  subject: string | null;
  html: string | null;
  text: string | null;
  preview_text: string | null;
  template_context: Record<string, unknown>;
  from_name: string | null;
  from_email: string | null;
  reply_to: string | null;
  sending_pool_id: string | null;
  sending_identity_id: string | null;
  routing_config: RoutingConfig | null;
  category_id: string | null;
  purpose_id: string | null;
  include_audiences: string[];
  exclude_audiences: string[];
  all_consented: boolean;
  /** Narrow the audiences, or all contacts where none is included. */
  audience_conditions: ConditionTree | null;
  tracking: boolean;
}

/** What may change without a new approval. */
export interface CampaignDetails {
  name: string;
  description: string;
  goals: string[];
  tags: string[];
  notes: string;
  send_window: SendWindow | null;
  expires_at: Date | null;
}

/** A campaign with its newest run and the approval of its message. */
export interface CampaignRow extends CampaignContent, CampaignDetails {
  id: string;
  message_id: string | null;
  authors: string[];
  version: number;
  created_by: string | null;
  created_at: Date;
  updated_at: Date;
  category_key: string | null;
  purpose_key: string | null;
  /** Of the message last submitted, whatever became of it. */
  approval: ApprovalState | null;
  last_message_id: string | null;
  run_id: string | null;
  run_status: Exclude<CampaignState, 'DRAFT'> | null;
  run_phase: 'PENDING' | 'MATERIALISING' | 'MATERIALISED' | null;
  run_stream_id: string | null;
  run_stop_reason: string | null;
  scheduled_at: Date | null;
  started_at: Date | null;
  completed_at: Date | null;
}

const COLUMNS = sql`c.id, c.name, c.description, c.goals, c.tags, c.notes, c.send_window, c.expires_at, c.template_id,
  c.subject, c.html, c.text, c.preview_text, c.template_context, c.from_name, c.from_email, c.reply_to,
  c.sending_pool_id, c.sending_identity_id, c.routing_config, c.category_id,
  c.purpose_id, c.include_audiences, c.exclude_audiences, c.all_consented, c.audience_conditions, c.tracking, c.message_id, c.authors, c.version,
  c.created_by, c.created_at, c.updated_at, g.key AS category_key, p.key AS purpose_key, m.approval, m.id AS last_message_id,
  r.id AS run_id, r.status AS run_status, r.phase AS run_phase, r.stream_id AS run_stream_id,
  r.stop_reason AS run_stop_reason, r.scheduled_at, r.started_at, r.completed_at`;

const FROM = sql`FROM campaigns c
  LEFT JOIN preference_categories g ON g.workspace_id = c.workspace_id AND g.id = c.category_id
  LEFT JOIN purposes p ON p.workspace_id = c.workspace_id AND p.id = c.purpose_id
  LEFT JOIN LATERAL (SELECT id, approval FROM messages
    WHERE workspace_id = c.workspace_id AND campaign_id = c.id AND origin = 'CAMPAIGN' ORDER BY id DESC LIMIT 1) m ON true
  LEFT JOIN LATERAL (SELECT id, status, phase, stream_id, stop_reason, scheduled_at, started_at, completed_at
    FROM campaign_runs WHERE workspace_id = c.workspace_id AND campaign_id = c.id ORDER BY id DESC LIMIT 1) r ON true`;

/** The state as shown: DRAFT until a run exists, then that of the newest run. */
export function stateOf(campaign: Pick<CampaignRow, 'run_status'>): CampaignState {
  return campaign.run_status ?? 'DRAFT';
}

/** A campaign that is not deleted, or null. */
export function findCampaign(db: Queryable, workspaceId: string, id: string): Promise<CampaignRow | null> {
  return one<CampaignRow>(
    db,
    sql`SELECT ${COLUMNS} ${FROM} WHERE c.workspace_id = ${workspaceId} AND c.id = ${id} AND c.deleted_at IS NULL`,
  );
}

/**
 * The same, with the campaign and its runs locked: what follows in this transaction is decided on a state that nobody
 * else changes, also not a run that is due. Locks are taken in the order campaign, run, message, stream, lane.
 * Statements of their own, since one that waits for a lock would still show what was before.
 */
export async function lockCampaign(tx: Queryable, workspaceId: string, id: string): Promise<CampaignRow | null> {
  await tx.query(sql`SELECT 1 FROM campaigns WHERE workspace_id = ${workspaceId} AND id = ${id} FOR NO KEY UPDATE`);
  await lockRuns(tx, workspaceId, id);
  return findCampaign(tx, workspaceId, id);
}

/** Locks the runs of a campaign that are not over. */
export async function lockRuns(tx: Queryable, workspaceId: string, campaignId: string): Promise<void> {
  await tx.query(sql`
    SELECT 1 FROM campaign_runs WHERE workspace_id = ${workspaceId} AND campaign_id = ${campaignId}
      AND status IN ('SCHEDULED', 'SENDING', 'PAUSED') FOR NO KEY UPDATE`);
}

export interface CampaignFilter {
  status: CampaignState | null;
  tag: string | null;
  after: string | null;
  limit: number;
}

/** Newest first; one more than `limit`, if there is one. */
export function listCampaigns(db: Queryable, workspaceId: string, filter: CampaignFilter): Promise<CampaignRow[]> {
  return many<CampaignRow>(
    db,
    sql`SELECT ${COLUMNS} ${FROM}
        WHERE c.workspace_id = ${workspaceId} AND c.deleted_at IS NULL
          AND (${filter.status}::text IS NULL OR coalesce(r.status, 'DRAFT') = ${filter.status})
          AND (${filter.tag}::text IS NULL OR ${filter.tag} = ANY (c.tags))
          AND (${filter.after}::uuid IS NULL OR c.id < ${filter.after})
        ORDER BY c.id DESC LIMIT ${filter.limit + 1}`,
  );
}

/** Makes a campaign in DRAFT; returns its id. */
export async function insertCampaign(
  tx: Queryable,
  workspaceId: string,
  campaign: CampaignContent & CampaignDetails,
  createdBy: string,
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO campaigns (workspace_id, name, description, goals, tags, notes, send_window, expires_at, template_id,
          subject, html, text, preview_text, template_context, from_name, from_email, reply_to, sending_pool_id, sending_identity_id, routing_config, category_id, purpose_id,
          include_audiences, exclude_audiences, all_consented, audience_conditions, tracking, authors, created_by)
        VALUES (${workspaceId}, ${campaign.name}, ${campaign.description}, ${JSON.stringify(campaign.goals)},
          ${campaign.tags}, ${campaign.notes}, ${json(campaign.send_window)}, ${campaign.expires_at},
          ${campaign.template_id}, ${campaign.subject}, ${campaign.html}, ${campaign.text}, ${campaign.preview_text},
          ${JSON.stringify(campaign.template_context)}, ${campaign.from_name}, ${campaign.from_email},
          ${campaign.reply_to}, ${campaign.sending_pool_id}, ${campaign.sending_identity_id},
          ${json(campaign.routing_config)}, ${campaign.category_id}, ${campaign.purpose_id}, ${campaign.include_audiences},
          ${campaign.exclude_audiences}, ${campaign.all_consented}, ${json(campaign.audience_conditions)}, ${campaign.tracking}, ${[createdBy]}, ${createdBy})
        RETURNING id`,
  );
  if (!row) throw new Error('a campaign could not be made');
  return row.id;
}

/**
 * Writes a campaign that is still at `version`. With `contentAuthor`, that person joins the authors and the campaign
 * lets go of its submitted message. False: somebody else was faster.
 */
export async function updateCampaign(
  tx: Queryable,
  workspaceId: string,
  id: string,
  change: CampaignContent & CampaignDetails & { version: number; contentAuthor: string | null },
): Promise<boolean> {
  const { contentAuthor } = change;
  const count = await changed(
    tx,
    sql`UPDATE campaigns SET name = ${change.name}, description = ${change.description},
          goals = ${JSON.stringify(change.goals)}, tags = ${change.tags}, notes = ${change.notes},
          send_window = ${json(change.send_window)}, expires_at = ${change.expires_at},
          template_id = ${change.template_id}, subject = ${change.subject}, html = ${change.html}, text = ${change.text},
          preview_text = ${change.preview_text}, template_context = ${JSON.stringify(change.template_context)},
          from_name = ${change.from_name}, from_email = ${change.from_email}, reply_to = ${change.reply_to},
          sending_pool_id = ${change.sending_pool_id}, sending_identity_id = ${change.sending_identity_id},
          routing_config = ${json(change.routing_config)},
          category_id = ${change.category_id}, purpose_id = ${change.purpose_id},
          include_audiences = ${change.include_audiences}, exclude_audiences = ${change.exclude_audiences},
          all_consented = ${change.all_consented}, audience_conditions = ${json(change.audience_conditions)}, tracking = ${change.tracking},
          message_id = CASE WHEN ${contentAuthor}::uuid IS NULL THEN message_id END,
          authors = CASE WHEN ${contentAuthor}::uuid IS NULL OR ${contentAuthor}::uuid = ANY (authors) THEN authors
                         ELSE authors || ${contentAuthor}::uuid END,
          version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND version = ${change.version} AND deleted_at IS NULL`,
  );
  return count === 1;
}

/** Points a campaign at the message that was just submitted. */
export async function setCampaignMessage(
  tx: Queryable,
  workspaceId: string,
  id: string,
  messageId: string,
): Promise<void> {
  await tx.query(sql`
    UPDATE campaigns SET message_id = ${messageId}, version = version + 1, updated_at = sally_now()
    WHERE workspace_id = ${workspaceId} AND id = ${id}`);
}

/** Takes a campaign that never had a run out of every list. */
export async function deleteCampaign(
  tx: Queryable,
  workspaceId: string,
  id: string,
  version: number | null,
): Promise<boolean> {
  const count = await changed(
    tx,
    sql`UPDATE campaigns SET deleted_at = sally_now(), message_id = NULL, version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND deleted_at IS NULL
          AND (${version}::integer IS NULL OR version = ${version})`,
  );
  return count === 1;
}

/** What a campaign's request names by key: ids, or null for what does not exist. */
export async function resolveKeys(
  db: Queryable,
  workspaceId: string,
  keys: { category: string | null; purpose: string | null },
): Promise<{ categoryId: string | null; purpose: { id: string; kind: string } | null }> {
  const category = await one<{ id: string }>(
    db,
    sql`SELECT id FROM preference_categories WHERE workspace_id = ${workspaceId} AND key = ${keys.category}`,
  );
  const purpose = await one<{ id: string; kind: string }>(
    db,
    sql`SELECT id, kind FROM purposes WHERE workspace_id = ${workspaceId} AND key = ${keys.purpose} AND archived_at IS NULL`,
  );
  return { categoryId: category?.id ?? null, purpose };
}

/** Those of `ids` that are no audience of the workspace, or an archived one. */
export async function missingAudiences(db: Queryable, workspaceId: string, ids: string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const rows = await many<{ id: string }>(
    db,
    sql`SELECT wanted.id FROM unnest(${ids}::uuid[]) AS wanted (id)
        WHERE NOT EXISTS (SELECT 1 FROM audiences a
          WHERE a.workspace_id = ${workspaceId} AND a.id = wanted.id AND a.archived_at IS NULL)`,
  );
  return rows.map((row) => row.id);
}

function json(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value);
}
