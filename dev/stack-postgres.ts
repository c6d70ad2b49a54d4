import { Client } from 'pg';
import { migrate } from '../db/migrate';
import { type ProvisionedDatabase, provisionDatabase, type RolePasswords } from '../db/provision';

const DEFAULT_DATABASE = 'sally';

export interface PreparedDatabase extends ProvisionedDatabase {
  adminUrl: string;
  applied: string[];
}

/**
 * Makes roles and database where they are missing and applies migrations. `adminUrl` needs the right to create both;
 * its database is used unless it is `postgres` or none, then `sally`.
 */
export async function prepareDatabase(adminUrl: string, passwords: RolePasswords): Promise<PreparedDatabase> {
  const named = decodeURIComponent(new URL(adminUrl).pathname.slice(1));
  const database = named === '' || named === 'postgres' ? DEFAULT_DATABASE : named;
  const reachable = await urlThatConnects(adminUrl);
  const provisioned = await provisionDatabase(reachable, { database, passwords });
  const { applied } = await migrate(provisioned.ownerUrl);
  return { ...provisioned, adminUrl: reachable, applied };
}

/** A database that does not exist yet is made from within `postgres`, which every server has. */
async function urlThatConnects(adminUrl: string): Promise<string> {
  const client = new Client({ connectionString: adminUrl, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    return adminUrl;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== '3D000') throw new Error(`Postgres at DATABASE_URL cannot be reached: ${String(error)}`);
    const url = new URL(adminUrl);
    url.pathname = '/postgres';
    return url.toString();
  } finally {
    await client.end().catch(() => {});
  }
}
