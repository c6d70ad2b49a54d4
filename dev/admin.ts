import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { seedConsent } from '../db/consent';
import { createUser, findLogin, foundWorkspace, writeAudit } from '../db/workspace';
import { normaliseEmail } from '../domain/contacts';
import { canonicalTimeZone } from '../domain/shared/zones';
import { ConfigurationError, readConfiguration } from '../platform/config';
import { Keyring, randomToken } from '../platform/crypto';
import { uuidv7 } from '../platform/ids';
import { hashPassword } from '../platform/passwords';
import { changed, Database, many, type Statement, sql } from '../platform/postgres';

const USAGE = `Usage:
  npm run admin -- create-owner --email ada@example.com --name "Ada" [--workspace "Acme" --time-zone Europe/Berlin]
      Makes a person (or takes the one with this address) and, with --workspace, a workspace that they own.
      The password is read from standard input; an empty line generates one, which is shown once.
  npm run admin -- rotate-keys
      Seals the credentials of providers and dedicated IPs again with the newest key of SALLY_SECRETS. Run it after adding a key in
      front; when it has run, links and sessions still need the older keys (docs/operations.md).

Needs DATABASE_URL_WORKER, SALLY_SECRETS and SALLY_SUPPRESSION_KEY in the environment.`;

/** What the person at the terminal can put right; shown without a stack. */
class AdminError extends Error {}

async function readPassword(): Promise<{ password: string; generated: boolean }> {
  if (process.stdin.isTTY) process.stderr.write('Password (12 or more characters; empty = generate one): ');
  const lines = createInterface({ input: process.stdin, terminal: false });
  const first = await lines[Symbol.asyncIterator]().next();
  lines.close();
  const password = first.done ? '' : first.value;
  if (password === '') return { password: randomToken(18), generated: true };
  if (password.length < 12) throw new AdminError('The password must have 12 or more characters.');
  return { password, generated: false };
}

export interface OwnerOptions {
  email: string;
  name: string;
  password: string;
  workspace?: { name: string; timeZone: string };
}

/** Makes a person and, if asked, their workspace. An existing person keeps name and password. */
export async function createOwner(
  db: Database,
  options: OwnerOptions,
): Promise<{ userId: string; existed: boolean; workspaceId: string | null }> {
  const email = normaliseEmail(options.email);
  if (!email.ok) throw new AdminError(`--email: ${email.message}`);
  const { workspace } = options;
  const timeZone = canonicalTimeZone(workspace?.timeZone ?? 'UTC');
  if (timeZone === null) throw new AdminError('--time-zone: not an IANA time zone, for example Europe/Berlin');
  const known = await findLogin(db, email.email);
  const userId =
    known?.userId ??
    (await createUser(db, {
      email: email.email,
      name: options.name,
      passwordHash: await hashPassword(options.password),
    }));
  if (!userId) throw new AdminError('Somebody (who is disabled) has this address already.');
  if (!workspace) return { userId, existed: known !== null, workspaceId: null };
  const id = uuidv7();
  const made = await db.workspaceTransaction(id, (tx) =>
    foundWorkspace(tx, {
      workspace: {
        id,
        name: workspace.name,
        slug: null,
        timeZone,
        messageDomain: email.domain,
        fromName: '',
        fromEmail: null,
        postalAddress: '',
      },
      ownerId: userId,
      seed: seedConsent,
      requestId: null,
    }),
  );
  if (!made) throw new AdminError('The workspace could not be made: no free slug. Try again.');
  return { userId, existed: known !== null, workspaceId: id };
}

/** Seals every credential that an older key sealed with the current one. Returns how many were changed. */
export async function rotateKeys(db: Database, keyring: Keyring): Promise<{ rotated: number; unreadable: string[] }> {
  const providers = await rotateTable(db, keyring, 'provider', sql`providers`);
  const ips = await rotateTable(db, keyring, 'dedicated-ip', sql`dedicated_ips`);
  return { rotated: providers.rotated + ips.rotated, unreadable: [...providers.unreadable, ...ips.unreadable] };
}

async function rotateTable(
  db: Database,
  keyring: Keyring,
  entityType: 'provider' | 'dedicated-ip',
  table: Statement,
): Promise<{ rotated: number; unreadable: string[] }> {
  const rows = await many<{ workspace_id: string; id: string; credentials: Buffer }>(
    db,
    sql`SELECT workspace_id, id, credentials FROM ${table} WHERE credentials IS NOT NULL`,
  );
  let rotated = 0;
  const unreadable: string[] = [];
  for (const row of rows) {
    if (keyring.isCurrent(row.credentials)) continue;
    const plaintext = keyring.open('credentials', row.credentials);
    if (!plaintext) {
      unreadable.push(row.id);
      continue;
    }
    rotated += await db.transaction(async (tx) => {
      // Only if nobody has stored new credentials in between.
      const replaced = await changed(
        tx,
        sql`UPDATE ${table} SET credentials = ${keyring.seal('credentials', plaintext)}
            WHERE workspace_id = ${row.workspace_id} AND id = ${row.id} AND credentials = ${row.credentials}`,
      );
      const entity = { action: `${entityType}.rotate-key`, entityType, entityId: row.id };
      if (replaced) await writeAudit(tx, { workspaceId: row.workspace_id, actor: { type: 'system' }, ...entity });
      return replaced;
    });
  }
  return { rotated, unreadable };
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      email: { type: 'string' },
      name: { type: 'string' },
      workspace: { type: 'string' },
      'time-zone': { type: 'string', default: 'UTC' },
    },
  });
  const [command] = positionals;
  if (command !== 'create-owner' && command !== 'rotate-keys') throw new AdminError(USAGE);
  const config = readConfiguration(process.env);
  if (!config.DATABASE_URL_WORKER) throw new AdminError('DATABASE_URL_WORKER is not set.');
  const db = new Database({ url: config.DATABASE_URL_WORKER, applicationName: 'sally-admin', connections: 2 });
  try {
    if (command === 'rotate-keys') {
      const { rotated, unreadable } = await rotateKeys(db, new Keyring(config.SALLY_SECRETS));
      process.stdout.write(`${rotated} sealed again with the newest key.\n`);
      if (unreadable.length > 0) {
        throw new AdminError(`No key of SALLY_SECRETS opens the credentials of: ${unreadable.join(', ')}`);
      }
      return;
    }
    if (!values.email || !values.name) throw new AdminError(USAGE);
    const { password, generated } = await readPassword();
    const made = await createOwner(db, {
      email: values.email,
      name: values.name,
      password,
      workspace: values.workspace ? { name: values.workspace, timeZone: values['time-zone'] } : undefined,
    });
    const note = made.existed ? ' (existed already; name and password unchanged)' : '';
    process.stdout.write(`user ${made.userId}${note}\n`);
    if (made.workspaceId) process.stdout.write(`workspace ${made.workspaceId}\n`);
    if (generated && !made.existed) process.stdout.write(`password ${password}\n`);
  } finally {
    await db.close();
  }
}

if (require.main === module) {
  main().catch((error: unknown) => {
    const expected = error instanceof AdminError || error instanceof ConfigurationError;
    const text = error instanceof Error ? (expected ? error.message : error.stack) : String(error);
    process.stderr.write(`${text}\n`);
    process.exit(1);
  });
}
