import { SYSTEM_TEMPLATES, type SystemTemplate } from '../../domain/consent';
import { one, type Queryable, sql } from '../../platform/postgres';

const PURPOSES = [
  {
    key: 'newsletter',
    name: 'Newsletter',
    kind: 'marketing',
    wording: 'I would like to receive the newsletter by e-mail. I can unsubscribe at any time with one click.',
  },
  {
    key: 'transactional',
    name: 'Service messages',
    kind: 'transactional',
    wording: 'Messages that belong to a service I use, such as receipts and security notices.',
  },
] as const;

/** What every new workspace begins with: purposes, a preference category, the mails of double opt-in. */
export async function seedConsent(tx: Queryable, workspaceId: string): Promise<void> {
  for (const purpose of PURPOSES) {
    await tx.query(sql`
      WITH made AS (
        INSERT INTO purposes (workspace_id, key, name, kind, wording)
        VALUES (${workspaceId}, ${purpose.key}, ${purpose.name}, ${purpose.kind}, ${purpose.wording})
        ON CONFLICT (workspace_id, key) DO NOTHING
        RETURNING workspace_id, id, wording_version, wording)
      INSERT INTO purpose_wordings (workspace_id, purpose_id, wording_version, wording)
      SELECT workspace_id, id, wording_version, wording FROM made`);
  }
  await tx.query(sql`
    INSERT INTO preference_categories (workspace_id, key, name) VALUES (${workspaceId}, 'newsletter', 'Newsletter')
    ON CONFLICT (workspace_id, key) DO NOTHING`);
  for (const template of SYSTEM_TEMPLATES) await ensureTemplate(tx, workspaceId, template);
}

/** Makes a system template where the workspace has none of this slug; one that was edited or deactivated stays. */
export async function ensureSystemTemplate(tx: Queryable, workspaceId: string, slug: string): Promise<void> {
  const template = SYSTEM_TEMPLATES.find((known) => known.slug === slug);
  if (!template) throw new Error(`there is no system template "${slug}"`);
  await ensureTemplate(tx, workspaceId, template);
}

/** The same, of any area's templates. */
export async function ensureTemplate(tx: Queryable, workspaceId: string, template: SystemTemplate): Promise<void> {
  const made = await one<{ id: string }>(
    tx,
    sql`INSERT INTO templates (workspace_id, name, slug, category)
        VALUES (${workspaceId}, ${template.name}, ${template.slug}, 'TRANSACTIONAL')
        ON CONFLICT (workspace_id, slug) WHERE deleted_at IS NULL DO NOTHING RETURNING id`,
  );
  if (!made) return;
  await tx.query(sql`
    INSERT INTO template_versions (workspace_id, template_id, version, subject_template, body_html, body_text,
      preview_text, variables)
    VALUES (${workspaceId}, ${made.id}, 1, ${template.subject}, ${template.html}, ${template.text},
      ${template.previewText}, ${JSON.stringify(template.variables)})`);
}
