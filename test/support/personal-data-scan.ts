import { Client } from 'pg';

/**
 * Tables in which a text occurs, in any letter case, in any column of any type: texts, JSON, arrays and bytes (as they
 * are, and in base64). Partitions are named one by one.
 */
export async function tablesHolding(ownerUrl: string, text: string): Promise<string[]> {
  const owner = new Client(ownerUrl);
  await owner.connect();
  try {
    const { rows: tables } = await owner.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1`,
    );
    const bytes = Buffer.from(text, 'utf8');
    // A row as text writes bytes in hexadecimal.
    const needles = [
      text.toLowerCase(),
      bytes.toString('hex'),
      bytes.toString('base64').replace(/=+$/, '').toLowerCase(),
    ];
    const found: string[] = [];
    for (const { name } of tables) {
      const { rows } = await owner.query<{ holds: boolean }>(
        `SELECT EXISTS (SELECT 1 FROM ${name} t, unnest($1::text[]) AS needle
           WHERE position(needle IN lower(t::text)) > 0 OR position(needle IN lower(to_jsonb(t)::text)) > 0) AS holds`,
        [needles],
      );
      if (rows[0]?.holds) found.push(name);
    }
    return found;
  } finally {
    await owner.end();
  }
}
