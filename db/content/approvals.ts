import { many, one, type Queryable, sql } from '../../platform/postgres';
import type { ApprovalState, MessageOrigin } from './messages';

export type ApprovalDecision = 'APPROVED' | 'REJECTED' | 'VOIDED';

/** One decision over a frozen message; append-only. */
export interface ApprovalRow {
  id: string;
  decision: ApprovalDecision;
  sha256: string;
  comment: string;
  decided_by: string | null;
  decided_at: Date;
}

/** States a decision can be taken from; anything else is refused by the guarded UPDATE. */
const FROM: Record<ApprovalDecision, ApprovalState[]> = {
  APPROVED: ['SUBMITTED'],
  REJECTED: ['SUBMITTED'],
  VOIDED: ['SUBMITTED', 'APPROVED'],
};

/** Decides over a message, if its state allows it, and keeps the decision. False: the state did not allow it. */
export async function decide(
  tx: Queryable,
  decision: {
    workspaceId: string;
    messageId: string;
    decision: ApprovalDecision;
    comment: string;
    decidedBy: string | null;
  },
): Promise<boolean> {
  const row = await one<{ id: string }>(
    tx,
    sql`WITH decided AS (
          UPDATE messages SET approval = ${decision.decision}
          WHERE workspace_id = ${decision.workspaceId} AND id = ${decision.messageId}
            AND approval = ANY (${FROM[decision.decision]}::text[])
          RETURNING workspace_id, id, sha256)
        INSERT INTO approvals (workspace_id, message_id, decision, sha256, comment, decided_by)
        SELECT workspace_id, id, ${decision.decision}, sha256, ${decision.comment}, ${decision.decidedBy} FROM decided
        RETURNING id`,
  );
  return row !== null;
}

/** All decisions over a message, oldest first. */
export function listApprovals(db: Queryable, workspaceId: string, messageId: string): Promise<ApprovalRow[]> {
  return many<ApprovalRow>(
    db,
    sql`SELECT id, decision, sha256, comment, decided_by, decided_at FROM approvals
        WHERE workspace_id = ${workspaceId} AND message_id = ${messageId} ORDER BY id`,
  );
}

/** A message as lists show it. */
export interface MessageSummary {
  id: string;
  origin: MessageOrigin;
  campaign_id: string | null;
  campaign_name: string | null;
  template_id: string | null;
  template_version: number | null;
  subject: string;
  from_name: string;
  from_email: string;
  sha256: string;
  approval: ApprovalState;
  submitted_by: string | null;
  submitted_at: Date | null;
  created_at: Date;
}

/** Newest first; one more than `limit`, if there is one. */
export function listMessages(
  db: Queryable,
  workspaceId: string,
  filter: { approval: ApprovalState | null; campaignId: string | null; after: string | null; limit: number },
): Promise<MessageSummary[]> {
  return many<MessageSummary>(
    db,
    sql`SELECT m.id, m.origin, m.campaign_id, c.name AS campaign_name, m.template_id, m.template_version, m.subject,
          m.from_name, m.from_email, m.sha256, m.approval, m.submitted_by, m.submitted_at, m.created_at
        FROM messages m LEFT JOIN campaigns c ON c.workspace_id = m.workspace_id AND c.id = m.campaign_id
        WHERE m.workspace_id = ${workspaceId}
          AND (${filter.approval}::text IS NULL OR m.approval = ${filter.approval})
          AND (${filter.campaignId}::uuid IS NULL OR m.campaign_id = ${filter.campaignId})
          AND (${filter.after}::uuid IS NULL OR m.id < ${filter.after})
        ORDER BY m.id DESC LIMIT ${filter.limit + 1}`,
  );
}
