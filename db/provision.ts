import { Client, escapeIdentifier, escapeLiteral } from 'pg';

/** Passwords of the three database roles (design, section 5). */
export interface RolePasswords {
  owner: string;
  api: string;
  worker: string;
}

export interface ProvisionedDatabase {
  ownerUrl: string;
  apiUrl: string;
  workerUrl: string;
}

/** Connection string of `role` for the same server and another database. */
export function databaseUrl(adminUrl: string, database: string, role: string, password: string): string {
  const url = new URL(adminUrl);
  url.username = role;
  url.password = encodeURIComponent(password);
  url.pathname = `/${database}`;
  return url.toString();
}

/**
 * Makes the roles sally_owner, sally_api, sally_worker and sally_eraser and the database if they are missing, and sets the
 * passwords. Needs a superuser's (or CREATEROLE and CREATEDB) connection; idempotent. None of the three roles is
 * a superuser, so row-level security binds them all.
 */
export async function provisionDatabase(
  adminUrl: string,
  options: { database: string; passwords: RolePasswords },
): Promise<ProvisionedDatabase> {
  const { database, passwords } = options;
  const admin = new Client({ connectionString: adminUrl });
  await admin.connect();
  try {
    // Two starts at once must not both create a role.
    await admin.query(`SELECT pg_advisory_lock(hashtext('sally-provision'))`);
    for (const [role, password] of [
      ['sally_owner', passwords.owner],
      ['sally_api', passwords.api],
      ['sally_worker', passwords.worker],
    ] as const) {
      const { rowCount } = await admin.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
      const verb = rowCount ? 'ALTER' : 'CREATE';
      await admin.query(`${verb} ROLE ${escapeIdentifier(role)} LOGIN PASSWORD ${escapeLiteral(password)}`);
    }
    // Owns the functions that erase in append-only tables; nobody logs in as it.
    const eraser = await admin.query(`SELECT 1 FROM pg_roles WHERE rolname = 'sally_eraser'`);
    if (!eraser.rowCount) await admin.query('CREATE ROLE sally_eraser NOLOGIN');
    // The owner hands its functions to these roles; the launcher's user creates for the owner.
    await admin.query('GRANT sally_worker, sally_eraser TO sally_owner');
    await admin.query('GRANT sally_owner TO CURRENT_USER');
    // Workers measure the horizon that open transactions of every role hold back.
    await admin.query('GRANT pg_read_all_stats TO sally_worker');
    const { rowCount } = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (!rowCount) await admin.query(`CREATE DATABASE ${escapeIdentifier(database)} OWNER sally_owner`);
  } finally {
    await admin.end();
  }
  return {
    ownerUrl: databaseUrl(adminUrl, database, 'sally_owner', passwords.owner),
    apiUrl: databaseUrl(adminUrl, database, 'sally_api', passwords.api),
    workerUrl: databaseUrl(adminUrl, database, 'sally_worker', passwords.worker),
  };
}
