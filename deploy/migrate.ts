import { z } from 'zod';
import { migrate } from '../db/migrate';
import { provisionDatabase } from '../db/provision';

const environment = z.object({
  /** Superuser, or CREATEROLE and CREATEDB. */
  DATABASE_ADMIN_URL: z.url(),
  SALLY_DATABASE: z.string().min(1).default('sally'),
  SALLY_OWNER_PASSWORD: z.string().min(20),
  SALLY_API_PASSWORD: z.string().min(20),
  SALLY_WORKER_PASSWORD: z.string().min(20),
});

/**
 * The one-shot container `migrate`: makes roles and database where they are missing, sets the passwords and applies
 * the migrations that are missing. May be repeated; runs before every new version of API and workers.
 */
async function main(): Promise<void> {
  const read = environment.safeParse(process.env);
  if (!read.success) {
    // Names only: a value may be a password.
    throw new Error(`Missing or wrong: ${read.error.issues.map((issue) => issue.path.join('.')).join(', ')}`);
  }
  const { DATABASE_ADMIN_URL, SALLY_DATABASE, SALLY_OWNER_PASSWORD, SALLY_API_PASSWORD, SALLY_WORKER_PASSWORD } =
    read.data;
  const { ownerUrl } = await provisionDatabase(DATABASE_ADMIN_URL, {
    database: SALLY_DATABASE,
    passwords: { owner: SALLY_OWNER_PASSWORD, api: SALLY_API_PASSWORD, worker: SALLY_WORKER_PASSWORD },
  });
  const { applied } = await migrate(ownerUrl);
  console.log(applied.length === 0 ? 'The schema is up to date.' : `Applied: ${applied.join(', ')}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : 'The migration failed.');
  process.exit(1);
});
