import { many, one, type Queryable, sql } from '../../platform/postgres';

export interface Alert {
  id: string;
  kind: string;
  cause: string;
  severity: 'info' | 'warning' | 'critical';
  message: string;
  details: Record<string, unknown>;
  occurrences: number;
  openedAt: Date;
  lastSeenAt: Date;
  acknowledgedAt: Date | null;
  acknowledgedBy: string | null;
  resolvedAt: Date | null;
}

interface AlertRow {
  id: string;
  kind: string;
  cause: string;
  severity: Alert['severity'];
  message: string;
  details: Record<string, unknown>;
  occurrences: number;
  opened_at: Date;
  last_seen_at: Date;
  acknowledged_at: Date | null;
  acknowledged_by: string | null;
  resolved_at: Date | null;
}

const COLUMNS = sql`id, kind, cause, severity, message, details, occurrences, opened_at, last_seen_at, acknowledged_at,
  acknowledged_by, resolved_at`;

function fromRow(row: AlertRow): Alert {
  return {
    id: row.id,
    kind: row.kind,
    cause: row.cause,
    severity: row.severity,
    message: row.message,
    details: row.details,
    occurrences: row.occurrences,
    openedAt: row.opened_at,
    lastSeenAt: row.last_seen_at,
    acknowledgedAt: row.acknowledged_at,
    acknowledgedBy: row.acknowledged_by,
    resolvedAt: row.resolved_at,
  };
}

/** Newest first, older than `before`; `openOnly` leaves out what is resolved. */
export async function listAlerts(
  db: Queryable,
  workspaceId: string,
  page: { openOnly: boolean; before: string | null; limit: number },
): Promise<Alert[]> {
  const rows = await many<AlertRow>(
    db,
    sql`SELECT ${COLUMNS} FROM alerts
        WHERE workspace_id = ${workspaceId} AND (NOT ${page.openOnly}::boolean OR resolved_at IS NULL)
          AND (${page.before}::uuid IS NULL OR id < ${page.before})
        ORDER BY id DESC LIMIT ${page.limit}`,
  );
  return rows.map(fromRow);
}

/** The alert, locked until the transaction ends. */
export async function lockAlert(tx: Queryable, workspaceId: string, id: string): Promise<Alert | null> {
  const row = await one<AlertRow>(
    tx,
    sql`SELECT ${COLUMNS} FROM alerts WHERE workspace_id = ${workspaceId} AND id = ${id} FOR UPDATE`,
  );
  return row && fromRow(row);
}

/** Notes who has seen an alert. */
export async function acknowledgeAlert(tx: Queryable, workspaceId: string, id: string, userId: string): Promise<Alert> {
  return required(
    await one<AlertRow>(
      tx,
      sql`UPDATE alerts SET acknowledged_at = sally_now(), acknowledged_by = ${userId}
          WHERE workspace_id = ${workspaceId} AND id = ${id} RETURNING ${COLUMNS}`,
    ),
  );
}

/** Closes an alert; the next occurrence of its cause opens a new one. */
export async function resolveAlert(tx: Queryable, workspaceId: string, id: string): Promise<Alert> {
  return required(
    await one<AlertRow>(
      tx,
      sql`UPDATE alerts SET resolved_at = sally_now()
          WHERE workspace_id = ${workspaceId} AND id = ${id} RETURNING ${COLUMNS}`,
    ),
  );
}

function required(row: AlertRow | null): Alert {
  if (!row) throw new Error('the locked alert has gone');
  return fromRow(row);
}
