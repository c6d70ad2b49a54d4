import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';

const MIGRATIONS = join(__dirname, 'migrations');

/** A migration was edited after it had been applied: the database and the code no longer agree. */
export class MigrationChangedError extends Error {
  constructor(name: string) {
    super(
      `Migration ${name} was applied to this database with other content. Applied migrations are never edited: ` +
        'restore the file and put the change into a new migration.',
    );
  }
}

/** The committed migrations in order, with the SHA-256 of their text. */
export function listMigrations(): { name: string; sql: string; sha256: string }[] {
  return readdirSync(MIGRATIONS)
    .filter((file) => file.endsWith('.sql'))
    .sort()
    .map((name) => {
      const sql = readFileSync(join(MIGRATIONS, name), 'utf8');
      return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    });
}

/**
 * Applies what is missing, each migration in a transaction of its own, under one advisory lock and with a
 * lock time-out, so that a migration never queues behind a long transaction and blocks everybody else.
 * Connect as sally_owner. `upTo` (a file name) stops after that migration, for tests of upgrades.
 */
export async function migrate(ownerUrl: string, upTo?: string): Promise<{ applied: string[] }> {
  const client = new Client({ connectionString: ownerUrl });
  await client.connect();
  const applied: string[] = [];
  try {
    await client.query(`SELECT pg_advisory_lock(hashtext('sally-migrate'))`);
    await client.query(`CREATE TABLE IF NOT EXISTS schema_migrations (
      name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
    const { rows } = await client.query<{ name: string; sha256: string }>('SELECT name, sha256 FROM schema_migrations');
    const done = new Map(rows.map((row) => [row.name, row.sha256]));
    for (const migration of listMigrations()) {
      const known = done.get(migration.name);
      if (known !== undefined && known !== migration.sha256) throw new MigrationChangedError(migration.name);
      if (known === undefined) {
        await client.query('BEGIN');
        try {
          await client.query(`SET LOCAL lock_timeout = '10s'`);
          await client.query(migration.sql);
          await client.query('INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)', [
            migration.name,
            migration.sha256,
          ]);
          await client.query('COMMIT');
        } catch (error) {
          await client.query('ROLLBACK');
          throw error;
        }
        applied.push(migration.name);
      }
      if (migration.name === upTo) break;
    }
  } finally {
    await client.end();
  }
  return { applied };
}
