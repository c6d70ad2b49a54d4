import { PERMISSIONS } from '../domain/workspace/permissions';
import { randomToken, sha256 } from '../platform/crypto';
import { uuidv7 } from '../platform/ids';
import { Database, many, one, sql } from '../platform/postgres';
import {
  type DurablePostgres,
  durablePostgres,
  processEnvironment,
  type SpawnedProcess,
  spawnApi,
  stopTestProcesses,
  testSecrets,
} from '../test/support/stack';
import { cpuSeconds, postgresCpuSeconds, requireSafeSettings, walBytes } from './measure';

/** What an API process and Postgres have used so far. */
interface Used {
  api: number;
  postgres: number;
  wal: number;
}

/** An owner's API key with every scope for a workspace. */
export async function ownerKey(db: Database, workspaceId: string): Promise<string> {
  const user = await one<{ id: string }>(
    db,
    sql`WITH made AS (INSERT INTO users (email, name, password_hash)
          VALUES ('owner-' || gen_random_uuid() || '@sender.example', 'Owner', 'x') RETURNING id)
        INSERT INTO memberships (workspace_id, user_id, role) SELECT ${workspaceId}, id, 'owner' FROM made
        RETURNING user_id AS id`,
  );
  const key = `sally_${randomToken()}`;
  await db.query(
    sql`INSERT INTO api_keys (workspace_id, user_id, name, key_hash, key_hint, scopes)
        VALUES (${workspaceId}, ${user?.id}, 'Bench', ${sha256(key)}, ${key.slice(0, 10)}, ${[...PERMISSIONS]})`,
  );
  return key;
}

/** One API process on a durable Postgres, and a workspace with contacts; for the benches of what HTTP can take. */
export class ApiStack {
  private constructor(
    readonly postgres: DurablePostgres,
    readonly db: Database,
    readonly api: SpawnedProcess,
    readonly secrets: ReturnType<typeof testSecrets>,
    readonly workspaceId: string,
  ) {}

  /** `profile`: the API writes a CPU profile to .sally/profiles when it ends. `settings`: Postgres's. */
  static async start(name: string, profile: boolean, settings?: Record<string, string>): Promise<ApiStack> {
    const postgres = await durablePostgres(settings);
    const database = await postgres.database(name);
    const secrets = testSecrets();
    const db = new Database({ url: database.workerUrl, applicationName: 'bench', connections: 8 });
    await requireSafeSettings(db);
    const workspaceId = uuidv7();
    await db.query(
      sql`INSERT INTO workspaces (id, name, slug) VALUES (${workspaceId}, 'Bench', ${`bench-${workspaceId}`})`,
    );
    const environment = await processEnvironment({ database, namespace: 'absent', temporal: '127.0.0.1:1', secrets });
    const api = await spawnApi({
      env: { ...environment, LOG_LEVEL: 'warn' },
      nodeFlags: profile ? ['--cpu-prof', '--cpu-prof-dir=.sally/profiles'] : [],
    });
    return new ApiStack(postgres, db, api, secrets, workspaceId);
  }

  get port(): number {
    return Number(new URL(this.api.url).port);
  }

  /** Makes contacts reader0@mail.example, … and returns their ids. */
  async addContacts(count: number): Promise<string[]> {
    const rows = await many<{ id: string }>(
      this.db,
      sql`INSERT INTO contacts (workspace_id, email, email_hash, first_name, last_name)
          SELECT ${this.workspaceId}, email, sha256(convert_to(email, 'UTF8')), 'Ada', 'Lovelace'
          FROM (SELECT 'reader' || n || '@mail.example' AS email FROM generate_series(1, ${count}::int) AS n) AS given
          RETURNING id`,
    );
    await this.db.query('ANALYZE contacts');
    return rows.map(({ id }) => id);
  }

  async used(): Promise<Used> {
    return {
      api: cpuSeconds([this.api.pid]),
      postgres: postgresCpuSeconds(this.postgres.server.pid),
      wal: await walBytes(this.db),
    };
  }

  async stop(): Promise<void> {
    await this.db.close();
    await stopTestProcesses();
    await this.postgres.remove();
  }
}

/** CPU microseconds and bytes of WAL for each of `units` between two readings. */
export function costPerUnit(before: Used, after: Used, units: number) {
  const micros = (seconds: number) => Math.round((seconds * 1e6) / units);
  return {
    apiMicros: micros(after.api - before.api),
    postgresMicros: micros(after.postgres - before.postgres),
    walBytes: Math.round((after.wal - before.wal) / units),
  };
}
