import { createHash, randomBytes } from 'node:crypto';
import { Client, escapeIdentifier } from 'pg';
import { listMigrations, migrate } from '../../db/migrate';
import { databaseUrl, provisionDatabase, type RolePasswords } from '../../db/provision';

/** One suite's database. */
export interface TestDatabase {
  database: string;
  ownerUrl: string;
  apiUrl: string;
  workerUrl: string;
  /** Ends its connections and removes it. */
  drop(): Promise<void>;
}

/**
 * Makes a database by copying a template that holds the migrated schema. The template is migrated once per server
 * and set of migrations, under an advisory lock, so that Jest's workers may call this at once.
 */
export async function createDatabaseFromTemplate(
  adminUrl: string,
  passwords: RolePasswords,
  name: string,
): Promise<TestDatabase> {
  const suffix = randomBytes(4).toString('hex');
  const database = `${name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .slice(0, 40)}_${suffix}`;
  await asAdmin(adminUrl, async (admin) => {
    // One lock for making the template and for copying it: a template in use cannot be copied.
    await admin.query(`SELECT pg_advisory_lock(hashtext('sally-test-template'))`);
    const template = await ensureTemplate(admin, adminUrl, passwords);
    await admin.query(
      `CREATE DATABASE ${escapeIdentifier(database)} TEMPLATE ${escapeIdentifier(template)} OWNER sally_owner`,
    );
  });
  return {
    database,
    ownerUrl: databaseUrl(adminUrl, database, 'sally_owner', passwords.owner),
    apiUrl: databaseUrl(adminUrl, database, 'sally_api', passwords.api),
    workerUrl: databaseUrl(adminUrl, database, 'sally_worker', passwords.worker),
    drop: () =>
      asAdmin(adminUrl, async (admin) => {
        await admin.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(database)} WITH (FORCE)`);
      }),
  };
}

/** @returns the name of the template for the migrations as they are now */
async function ensureTemplate(admin: Client, adminUrl: string, passwords: RolePasswords): Promise<string> {
  const hash = createHash('sha256');
  for (const migration of listMigrations()) hash.update(`${migration.name} ${migration.sha256}\n`);
  const template = `sally_template_${hash.digest('hex').slice(0, 16)}`;
  const { rowCount } = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [template]);
  if (rowCount) return template;
  // Under another name until it is complete, so that a failed migration leaves no half template.
  const unfinished = `${template}_new`;
  await admin.query(`DROP DATABASE IF EXISTS ${escapeIdentifier(unfinished)} WITH (FORCE)`);
  const { ownerUrl } = await provisionDatabase(adminUrl, { database: unfinished, passwords });
  await migrate(ownerUrl);
  await admin.query(`ALTER DATABASE ${escapeIdentifier(unfinished)} RENAME TO ${escapeIdentifier(template)}`);
  return template;
}

async function asAdmin(adminUrl: string, work: (admin: Client) => Promise<void>): Promise<void> {
  const admin = new Client({ connectionString: adminUrl });
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}
