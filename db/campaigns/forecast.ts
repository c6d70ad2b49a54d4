import type { PermittedRouting } from '../../domain/senders';
import { many, one, type Queryable, sql } from '../../platform/postgres';
import { compileTree, resolveConditions } from '../audiences';
import type { AudienceDefinition } from '../content';
import { type AudiencePosition, audiencePage, restOfAudience } from './audience-page';

const PAGE = 10_000;
/** Of each mailbox-provider group at least this part of a sample, if there are so many. */
const LEAST_OF_GROUP = 1 / 12;
/** Hashes are below this. */
const HIGHEST = 2_147_483_648;

/** Who would get a row, as at now. */
export interface WalkedAudience {
  /** Contacts by mailbox-provider group. */
  groups: Map<string, number>;
  /** Some of them, evenly chosen within each group, or all. */
  sample: string[];
  /** False: `sample` is all of them. */
  isEstimate: boolean;
}

/** Contact, mailbox-provider group and hash. */
type SampledContact = [string, string, number];

interface PageRow extends Record<string, unknown> {
  scanned: number;
  last: string | null;
  audience: number;
  groups: Record<string, number> | null;
  sample: SampledContact[] | null;
}

/**
 * Walks through the audience that a run would materialise from a position on, page by page as it would, for about
 * `limits.ms`; what is left then is extrapolated. Null: its conditions cannot be asked any more.
 */
export async function walkAudience(
  tx: Queryable,
  workspaceId: string,
  audience: AudienceDefinition,
  position: AudiencePosition,
  limits: { ms: number; sample: number },
): Promise<WalkedAudience | null> {
  const resolution = audience.conditions ? await resolveConditions(tx, workspaceId, audience.conditions) : null;
  if (resolution?.ok === false) return null;
  const conditions =
    audience.conditions && resolution?.ok ? compileTree(audience.conditions, resolution.lookups, 'each') : null;
  const end = performance.now() + limits.ms;
  const groups = new Map<string, number>();
  const chosen = new LowestHashes(limits.sample);
  let scanned = 0;
  let found = 0;
  let from = position;
  let isOver = false;
  while (!isOver && (scanned === 0 || performance.now() < end)) {
    const page = await one<PageRow>(
      tx,
      sql`
      WITH ${audiencePage(workspaceId, audience, conditions, from, PAGE)},
      known AS MATERIALIZED (
        SELECT a.contact_id, coalesce(d.mx_group, 'other') AS mx_group, uuid_hash(a.contact_id)::bigint & 2147483647 AS hash
        FROM audience a JOIN contacts c ON c.workspace_id = ${workspaceId} AND c.id = a.contact_id
        LEFT JOIN mail_domains d ON d.domain = c.email_domain)
      SELECT (SELECT count(*) FROM page) AS scanned, (SELECT max(contact_id::text)::uuid FROM page) AS last,
        (SELECT count(*) FROM known) AS audience,
        (SELECT jsonb_object_agg(g.mx_group, g.n) FROM (SELECT mx_group, count(*) AS n FROM known GROUP BY 1) AS g) AS groups,
        (SELECT jsonb_agg(jsonb_build_array(s.contact_id, s.mx_group, s.hash)) FROM (
          SELECT contact_id, mx_group, hash, row_number() OVER (ORDER BY hash) AS overall,
            row_number() OVER (PARTITION BY mx_group ORDER BY hash) AS of_group
          FROM known WHERE hash < greatest(${chosen.cut}::bigint,
            coalesce((${JSON.stringify(chosen.cutsOfGroups)}::jsonb ->> mx_group)::bigint, ${HIGHEST}))) AS s
          WHERE s.overall <= ${limits.sample} OR s.of_group <= ${chosen.ofGroup}) AS sample`,
    );
    if (!page) throw new Error('a page gave no row');
    isOver = page.scanned < PAGE;
    scanned += page.scanned;
    found += page.audience;
    from = { ...from, cursor: page.last ?? from.cursor };
    for (const [group, n] of Object.entries(page.groups ?? {})) groups.set(group, (groups.get(group) ?? 0) + n);
    chosen.add(page.sample ?? []);
  }
  const rest = isOver ? 0 : ((await restOfAudience(tx, workspaceId, audience, from)) * found) / scanned;
  const factor = found === 0 ? 1 : 1 + rest / found;
  for (const [group, n] of groups) groups.set(group, n * factor);
  const { sample } = chosen;
  return { groups, sample, isEstimate: !isOver || found > sample.length };
}

/**
 * A sample by the lowest hashes: those of all pages together are as random as those of one. Of small groups more than
 * their share is taken, so that what is said of them is not the luck of a few; within each group it is even.
 */
class LowestHashes {
  readonly ofGroup: number;
  private all: SampledContact[] = [];
  private readonly groups = new Map<string, SampledContact[]>();

  constructor(private readonly size: number) {
    this.ofGroup = Math.ceil(size * LEAST_OF_GROUP);
  }

  add(contacts: readonly SampledContact[]): void {
    this.all = lowest([...this.all, ...contacts], this.size);
    for (const contact of contacts) {
      const known = this.groups.get(contact[1]);
      if (known) known.push(contact);
      else this.groups.set(contact[1], [contact]);
    }
    for (const [group, known] of this.groups) this.groups.set(group, lowest(known, this.ofGroup));
  }

  /** Only lower ones can come in still. */
  get cut(): number {
    return this.all.length < this.size ? HIGHEST : (this.all.at(-1)?.[2] ?? HIGHEST);
  }

  get cutsOfGroups(): Record<string, number> {
    const full = [...this.groups].filter(([, known]) => known.length === this.ofGroup);
    return Object.fromEntries(full.map(([group, known]) => [group, known.at(-1)?.[2] ?? HIGHEST]));
  }

  get sample(): string[] {
    return [...new Set([this.all, ...this.groups.values()].flat().map(([contactId]) => contactId))];
  }
}

function lowest(contacts: SampledContact[], most: number): SampledContact[] {
  return contacts.sort((a, b) => a[2] - b[2]).slice(0, most);
}

/** A run that has not made all of its rows yet. */
export interface ComingRun extends Record<string, unknown> {
  id: string;
  campaign_id: string;
  stream_id: string;
  lane_id: string;
  cursor: string | null;
  purpose_id: string | null;
  scheduled_at: Date;
  from_email: string;
  routing: PermittedRouting | null;
  audience: AudienceDefinition | null;
}

/** Runs that will make rows before `until`, the next ones first: scheduled, or in the middle of it. */
export function comingRuns(db: Queryable, workspaceId: string, until: Date, most: number): Promise<ComingRun[]> {
  return many<ComingRun>(
    db,
    sql`SELECT r.id, r.campaign_id, r.stream_id, s.lane_id, r.materialise_cursor AS cursor, m.purpose_id, r.scheduled_at,
          m.from_email, m.routing, m.audience
        FROM campaign_runs r
        JOIN streams s ON s.id = r.stream_id
        JOIN messages m ON m.workspace_id = r.workspace_id AND m.id = r.message_id
        WHERE r.workspace_id = ${workspaceId} AND m.approval = 'APPROVED' AND m.sha256 = r.sha256
          AND (r.status = 'SCHEDULED' AND r.scheduled_at < ${until} OR r.status = 'SENDING' AND r.phase <> 'MATERIALISED')
        ORDER BY r.scheduled_at, r.id LIMIT ${most}`,
  );
}

/** Where the run of a campaign stands in making its rows. */
export async function runPosition(
  db: Queryable,
  workspaceId: string,
  runId: string,
): Promise<{ cursor: string | null; phase: string; messageId: string; laneId: string } | null> {
  const row = await one<{ cursor: string | null; phase: string; message_id: string; lane_id: string }>(
    db,
    sql`SELECT r.materialise_cursor AS cursor, r.phase, r.message_id, s.lane_id
        FROM campaign_runs r JOIN streams s ON s.id = r.stream_id
        WHERE r.workspace_id = ${workspaceId} AND r.id = ${runId}`,
  );
  return row && { cursor: row.cursor, phase: row.phase, messageId: row.message_id, laneId: row.lane_id };
}

/** The lane of campaigns that take a pool, or none; null = nothing was ever sent on it. */
export async function poolLane(db: Queryable, workspaceId: string, poolId: string | null): Promise<string | null> {
  const row = await one<{ id: string }>(
    db,
    sql`SELECT id FROM lanes WHERE workspace_id = ${workspaceId} AND kind = 'pool' AND key = ${poolId ?? 'default'}`,
  );
  return row?.id ?? null;
}
