import type { ApprovalMode } from '../../domain/workspace';
import { joinStatements, many, one, type Queryable, sql } from '../../platform/postgres';

export interface Workspace {
  id: string;
  name: string;
  slug: string;
  timeZone: string;
  defaultLocale: string;
  /** Domain of Message-ID and List-Id. */
  messageDomain: string;
  fromName: string;
  fromEmail: string | null;
  postalAddress: string;
  approvalMode: ApprovalMode;
  optInReminderSeconds: number;
  optInExpirySeconds: number;
  templateContext: Record<string, unknown>;
  testRecipients: string[];
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

interface WorkspaceRow {
  id: string;
  name: string;
  slug: string;
  time_zone: string;
  default_locale: string;
  message_domain: string;
  from_name: string;
  from_email: string | null;
  postal_address: string;
  approval_mode: ApprovalMode;
  opt_in_reminder_seconds: number;
  opt_in_expiry_seconds: number;
  template_context: Record<string, unknown>;
  test_recipients: string[];
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`id, name, slug, time_zone, default_locale, message_domain, from_name, from_email, postal_address,
  approval_mode, extract(epoch FROM opt_in_reminder_after)::int AS opt_in_reminder_seconds,
  extract(epoch FROM opt_in_expires_after)::int AS opt_in_expiry_seconds, template_context, test_recipients, version,
  created_at, updated_at`;

function fromRow(row: WorkspaceRow): Workspace {
  return {
    id: row.id,
    name: row.name,
    slug: row.slug,
    timeZone: row.time_zone,
    defaultLocale: row.default_locale,
    messageDomain: row.message_domain,
    fromName: row.from_name,
    fromEmail: row.from_email,
    postalAddress: row.postal_address,
    approvalMode: row.approval_mode,
    optInReminderSeconds: row.opt_in_reminder_seconds,
    optInExpirySeconds: row.opt_in_expiry_seconds,
    templateContext: row.template_context,
    testRecipients: row.test_recipients,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** The workspace, or null. */
export async function findWorkspace(db: Queryable, id: string): Promise<Workspace | null> {
  // Read for every public page.
  const row = await one<WorkspaceRow>(db, {
    name: 'workspace',
    ...sql`SELECT ${COLUMNS} FROM workspaces WHERE id = ${id}`,
  });
  return row ? fromRow(row) : null;
}

/** The same, locked until the transaction ends. */
export async function lockWorkspace(tx: Queryable, id: string): Promise<Workspace | null> {
  const row = await one<WorkspaceRow>(tx, sql`SELECT ${COLUMNS} FROM workspaces WHERE id = ${id} FOR UPDATE`);
  return row ? fromRow(row) : null;
}

export interface NewWorkspace {
  id: string;
  name: string;
  slug: string;
  timeZone: string;
  messageDomain: string;
  fromName: string;
  fromEmail: string | null;
  postalAddress: string;
}

/** Inserts a workspace; false when its slug is taken. `tx` must be limited to the new id. */
export async function insertWorkspace(tx: Queryable, workspace: NewWorkspace): Promise<boolean> {
  const { rowCount } = await tx.query(sql`
    INSERT INTO workspaces (id, name, slug, time_zone, message_domain, from_name, from_email, postal_address)
    VALUES (${workspace.id}, ${workspace.name}, ${workspace.slug}, ${workspace.timeZone}, ${workspace.messageDomain},
      ${workspace.fromName}, ${workspace.fromEmail}, ${workspace.postalAddress})
    ON CONFLICT (slug) DO NOTHING`);
  return rowCount === 1;
}

/** What may be changed; undefined leaves a value. */
export type WorkspaceChanges = Partial<Omit<Workspace, 'id' | 'slug' | 'version' | 'createdAt' | 'updatedAt'>>;

/** Changes a workspace and raises its version. */
export async function updateWorkspace(tx: Queryable, id: string, changes: WorkspaceChanges): Promise<Workspace> {
  const sets = [sql`version = version + 1`, sql`updated_at = sally_now()`];
  const set = (value: unknown, statement: ReturnType<typeof sql>) => {
    if (value !== undefined) sets.push(statement);
  };
  const context = changes.templateContext === undefined ? undefined : JSON.stringify(changes.templateContext);
  set(changes.name, sql`name = ${changes.name}`);
  set(changes.timeZone, sql`time_zone = ${changes.timeZone}`);
  set(changes.defaultLocale, sql`default_locale = ${changes.defaultLocale}`);
  set(changes.messageDomain, sql`message_domain = ${changes.messageDomain}`);
  set(changes.fromName, sql`from_name = ${changes.fromName}`);
  set(changes.fromEmail, sql`from_email = ${changes.fromEmail}`);
  set(changes.postalAddress, sql`postal_address = ${changes.postalAddress}`);
  set(changes.approvalMode, sql`approval_mode = ${changes.approvalMode}`);
  set(
    changes.optInReminderSeconds,
    sql`opt_in_reminder_after = make_interval(secs => ${changes.optInReminderSeconds})`,
  );
  set(changes.optInExpirySeconds, sql`opt_in_expires_after = make_interval(secs => ${changes.optInExpirySeconds})`);
  set(context, sql`template_context = ${context}`);
  set(changes.testRecipients, sql`test_recipients = ${changes.testRecipients}`);
  const row = await one<WorkspaceRow>(
    tx,
    sql`UPDATE workspaces SET ${joinStatements(sets, sql`, `)} WHERE id = ${id} RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('the workspace of this transaction does not exist');
  return fromRow(row);
}

/** Whether a message was ever meant to be sent from this workspace. */
export async function hasDeliveries(db: Queryable, workspaceId: string): Promise<boolean> {
  const row = await one<{ found: boolean }>(
    db,
    sql`SELECT EXISTS (SELECT 1 FROM deliveries WHERE workspace_id = ${workspaceId}) AS found`,
  );
  return row?.found ?? false;
}

/** The workspaces of a session's user, with their role in each; empty when the session has ended. */
export function findWorkspacesOfSession(
  db: Queryable,
  userId: string,
  epoch: number,
): Promise<{ id: string; name: string; slug: string; role: string }[]> {
  return many(db, sql`SELECT id, name, slug, role FROM sally_find_workspaces(${userId}, ${epoch})`);
}
