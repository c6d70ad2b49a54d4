import { changed, many, one, type Queryable, sql } from '../../platform/postgres';
import type { TemplateVariable } from './template-variables';

export const TEMPLATE_CATEGORIES = [
  'GENERAL',
  'MARKETING',
  'ONBOARDING',
  'RELEASE',
  'TRANSACTIONAL',
  'NEWSLETTER',
] as const;
export type TemplateCategory = (typeof TEMPLATE_CATEGORIES)[number];

/** What a version of a template holds; a change of it makes a new version. */
export interface TemplateContent {
  subjectTemplate: string;
  bodyHtml: string;
  bodyText: string | null;
  previewText: string;
  variables: TemplateVariable[];
}

/** A template with its current version. */
export interface TemplateRow {
  id: string;
  name: string;
  slug: string;
  category: TemplateCategory;
  is_active: boolean;
  version: number;
  revision: number;
  subject_template: string;
  body_html: string;
  body_text: string | null;
  preview_text: string;
  variables: TemplateVariable[];
  created_by: string | null;
  /** Who wrote the current version. */
  version_by: string | null;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`t.id, t.name, t.slug, t.category, t.is_active, t.version, t.revision, v.subject_template, v.body_html,
  v.body_text, v.preview_text, v.variables, t.created_by, v.created_by AS version_by, t.created_at, t.updated_at`;
const FROM = sql`FROM templates t
  JOIN template_versions v ON v.workspace_id = t.workspace_id AND v.template_id = t.id AND v.version = t.version`;

/** A template that is not deleted, or null. */
export function findTemplate(db: Queryable, workspaceId: string, id: string): Promise<TemplateRow | null> {
  return one<TemplateRow>(
    db,
    sql`SELECT ${COLUMNS} ${FROM} WHERE t.workspace_id = ${workspaceId} AND t.id = ${id} AND t.deleted_at IS NULL`,
  );
}

export interface TemplateFilter {
  category: TemplateCategory | null;
  isActive: boolean | null;
  slug: string | null;
  /** Id of the last template of the page before. */
  after: string | null;
  limit: number;
}

/** Newest first; one more than `limit`, if there is one. */
export function listTemplates(db: Queryable, workspaceId: string, filter: TemplateFilter): Promise<TemplateRow[]> {
  return many<TemplateRow>(
    db,
    sql`SELECT ${COLUMNS} ${FROM}
        WHERE t.workspace_id = ${workspaceId} AND t.deleted_at IS NULL
          AND (${filter.category}::text IS NULL OR t.category = ${filter.category})
          AND (${filter.isActive}::boolean IS NULL OR t.is_active = ${filter.isActive})
          AND (${filter.slug}::text IS NULL OR t.slug = ${filter.slug})
          AND (${filter.after}::uuid IS NULL OR t.id < ${filter.after})
        ORDER BY t.id DESC LIMIT ${filter.limit + 1}`,
  );
}

/** Makes a template with its first version; returns its id. A slug in use violates `templates_slug`. */
export async function insertTemplate(
  tx: Queryable,
  template: {
    workspaceId: string;
    name: string;
    slug: string;
    category: TemplateCategory;
    isActive: boolean;
    content: TemplateContent;
    createdBy: string | null;
  },
): Promise<string> {
  const row = await one<{ id: string }>(
    tx,
    sql`INSERT INTO templates (workspace_id, name, slug, category, is_active, created_by)
        VALUES (${template.workspaceId}, ${template.name}, ${template.slug}, ${template.category}, ${template.isActive},
          ${template.createdBy})
        RETURNING id`,
  );
  if (!row) throw new Error('a template could not be made');
  await insertVersion(tx, template.workspaceId, row.id, 1, template.content, template.createdBy);
  return row.id;
}

/**
 * Changes a template, if it still is at `revision`; new `content` becomes a new version. False: somebody else was
 * faster.
 */
export async function updateTemplate(
  tx: Queryable,
  workspaceId: string,
  id: string,
  change: {
    revision: number;
    name: string;
    slug: string;
    category: TemplateCategory;
    isActive: boolean;
    content: TemplateContent | null;
    changedBy: string;
  },
): Promise<boolean> {
  const row = await one<{ version: number }>(
    tx,
    sql`UPDATE templates SET name = ${change.name}, slug = ${change.slug}, category = ${change.category},
          is_active = ${change.isActive}, version = version + ${change.content ? 1 : 0}, revision = revision + 1,
          updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND revision = ${change.revision} AND deleted_at IS NULL
        RETURNING version`,
  );
  if (!row) return false;
  if (change.content) await insertVersion(tx, workspaceId, id, row.version, change.content, change.changedBy);
  return true;
}

/** Takes a template out of every list. Its versions stay, since messages were made of them. */
export async function deleteTemplate(
  tx: Queryable,
  workspaceId: string,
  id: string,
  revision: number | null,
): Promise<boolean> {
  const count = await changed(
    tx,
    sql`UPDATE templates SET deleted_at = sally_now(), is_active = false, revision = revision + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND deleted_at IS NULL
          AND (${revision}::integer IS NULL OR revision = ${revision})`,
  );
  return count === 1;
}

async function insertVersion(
  tx: Queryable,
  workspaceId: string,
  templateId: string,
  version: number,
  content: TemplateContent,
  createdBy: string | null,
): Promise<void> {
  await tx.query(sql`
    INSERT INTO template_versions (workspace_id, template_id, version, subject_template, body_html, body_text, preview_text,
      variables, created_by)
    VALUES (${workspaceId}, ${templateId}, ${version}, ${content.subjectTemplate}, ${content.bodyHtml}, ${content.bodyText},
      ${content.previewText}, ${JSON.stringify(content.variables)}, ${createdBy})`);
}
