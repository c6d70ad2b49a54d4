import { many, type Queryable, sql } from '../../platform/postgres';

/** What is known of these domains from look-ups in the last `seconds`. */
export async function knownMxGroups(db: Queryable, domains: string[], seconds: number): Promise<Map<string, string>> {
  const rows = await many<{ domain: string; mx_group: string }>(
    db,
    sql`SELECT domain, mx_group FROM mx_lookups
        WHERE domain = ANY (${domains}::text[]) AND looked_up_at > sally_now() - ${seconds} * interval '1 second'`,
  );
  return new Map(rows.map((row) => [row.domain, row.mx_group]));
}

/** Stores the finding of one look-up. */
export async function storeMxGroup(db: Queryable, domain: string, mxGroup: string): Promise<void> {
  await db.query(sql`
    INSERT INTO mx_lookups (domain, mx_group) VALUES (${domain}, ${mxGroup})
    ON CONFLICT (domain) DO UPDATE SET mx_group = excluded.mx_group, looked_up_at = excluded.looked_up_at`);
}
