import { z } from 'zod';
import { GATE_MAILS, type GatePolicy, gateCondition } from '../../domain/gates';
import { changed, many, one, type Queryable, sql } from '../../platform/postgres';
import { ensureTemplate } from '../consent';

const resource = z.discriminatedUnion('type', [
  z.object({ type: z.literal('url'), url: z.string() }),
  z.object({ type: z.literal('json'), document: z.record(z.string(), z.unknown()) }),
  z.object({ type: z.literal('file'), filename: z.string(), contentType: z.string(), bytes: z.number() }),
]);
/** What a gate protects; a file's bytes are in gate_files. */
export type GateResource = z.infer<typeof resource>;

export interface Gate {
  id: string;
  slug: string;
  name: string;
  resource: GateResource;
  policy: GatePolicy;
  linkSeconds: number;
  maxUses: number;
  optInPurposeId: string | null;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

interface GateRow {
  id: string;
  slug: string;
  name: string;
  resource: unknown;
  match: 'all' | 'any';
  conditions: unknown;
  link_seconds: number;
  max_uses: number;
  opt_in_purpose_id: string | null;
  version: number;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = sql`g.id, g.slug, g.name, g.resource, g.match, g.conditions, g.link_seconds, g.max_uses, g.opt_in_purpose_id,
  g.version, g.created_at, g.updated_at`;

function toGate(row: GateRow): Gate {
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    resource: resource.parse(row.resource),
    policy: { match: row.match, conditions: z.array(gateCondition).parse(row.conditions) },
    linkSeconds: row.link_seconds,
    maxUses: row.max_uses,
    optInPurposeId: row.opt_in_purpose_id,
    version: row.version,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

type GateValues = Pick<Gate, 'name' | 'resource' | 'policy' | 'linkSeconds' | 'maxUses' | 'optInPurposeId'>;

/** A slug in use violates the unique constraint. */
export async function insertGate(
  tx: Queryable,
  workspaceId: string,
  gate: GateValues & { slug: string; createdBy: string },
): Promise<Gate> {
  const row = await one<GateRow & Record<string, unknown>>(
    tx,
    sql`INSERT INTO gates AS g (workspace_id, slug, name, resource, match, conditions, link_seconds, max_uses, opt_in_purpose_id, created_by)
        VALUES (${workspaceId}, ${gate.slug}, ${gate.name}, ${JSON.stringify(gate.resource)}, ${gate.policy.match},
          ${JSON.stringify(gate.policy.conditions)}, ${gate.linkSeconds}, ${gate.maxUses}, ${gate.optInPurposeId}, ${gate.createdBy})
        RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a gate could not be made');
  return toGate(row);
}

export async function updateGate(tx: Queryable, workspaceId: string, id: string, gate: GateValues): Promise<Gate> {
  const row = await one<GateRow & Record<string, unknown>>(
    tx,
    sql`UPDATE gates g SET name = ${gate.name}, resource = ${JSON.stringify(gate.resource)}, match = ${gate.policy.match},
          conditions = ${JSON.stringify(gate.policy.conditions)}, link_seconds = ${gate.linkSeconds}, max_uses = ${gate.maxUses},
          opt_in_purpose_id = ${gate.optInPurposeId}, version = version + 1, updated_at = sally_now()
        WHERE g.workspace_id = ${workspaceId} AND g.id = ${id} RETURNING ${COLUMNS}`,
  );
  if (!row) throw new Error('a gate vanished while it was locked');
  return toGate(row);
}

/** A gate in use, by id or slug; `lock` holds it until the end of the transaction. */
export async function findGate(
  db: Queryable,
  workspaceId: string,
  by: { id: string } | { slug: string },
  lock = false,
): Promise<Gate | null> {
  const which = 'id' in by ? sql`g.id = ${by.id}` : sql`g.slug = ${by.slug}`;
  const row = await one<GateRow & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} FROM gates g WHERE g.workspace_id = ${workspaceId} AND ${which} AND g.archived_at IS NULL
        ${lock ? sql`FOR UPDATE` : sql``}`,
  );
  return row === null ? null : toGate(row);
}

/** Gates in use, newest first, one more than `limit`. */
export async function listGates(
  db: Queryable,
  workspaceId: string,
  page: { before: string | null; limit: number },
): Promise<Gate[]> {
  const rows = await many<GateRow & Record<string, unknown>>(
    db,
    sql`SELECT ${COLUMNS} FROM gates g WHERE g.workspace_id = ${workspaceId} AND g.archived_at IS NULL
          AND (${page.before}::uuid IS NULL OR g.id < ${page.before}::uuid)
        ORDER BY g.id DESC LIMIT ${page.limit + 1}`,
  );
  return rows.map(toGate);
}

/** Closes a gate for good and frees its slug; its file goes, what was granted stays on record. */
export async function archiveGate(tx: Queryable, workspaceId: string, id: string): Promise<boolean> {
  const archived = await changed(
    tx,
    sql`UPDATE gates SET archived_at = sally_now(), slug = left(slug, 60) || '-' || id, version = version + 1, updated_at = sally_now()
        WHERE workspace_id = ${workspaceId} AND id = ${id} AND archived_at IS NULL`,
  );
  if (archived === 1) await deleteGateFile(tx, workspaceId, id);
  return archived === 1;
}

async function deleteGateFile(tx: Queryable, workspaceId: string, gateId: string): Promise<void> {
  await tx.query(sql`DELETE FROM gate_files WHERE workspace_id = ${workspaceId} AND gate_id = ${gateId}`);
}

/** Copies an upload, which goes after some days, into the gate. */
export async function storeGateFile(
  tx: Queryable,
  workspaceId: string,
  gateId: string,
  uploadId: string,
): Promise<void> {
  await deleteGateFile(tx, workspaceId, gateId);
  await tx.query(sql`
    INSERT INTO gate_files (workspace_id, gate_id, position, data)
    SELECT workspace_id, ${gateId}, position, data FROM upload_chunks
    WHERE workspace_id = ${workspaceId} AND upload_id = ${uploadId}`);
}

/** One piece of a gate's file, or null behind the last one. */
export async function readGatePiece(
  db: Queryable,
  workspaceId: string,
  gateId: string,
  position: number,
): Promise<Buffer | null> {
  const row = await one<{ data: Buffer }>(
    db,
    sql`SELECT data FROM gate_files WHERE workspace_id = ${workspaceId} AND gate_id = ${gateId} AND position = ${position}`,
  );
  return row?.data ?? null;
}

/** Makes the templates of gates' mails where there are none. */
export async function ensureGateTemplates(tx: Queryable, workspaceId: string): Promise<void> {
  for (const template of GATE_MAILS) await ensureTemplate(tx, workspaceId, template);
}
