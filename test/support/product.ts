import type { Role } from '../../domain/workspace/permissions';
import { sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestResponse } from './api';
import { CampaignWorld } from './campaign-world';
import { spawnWorker, stopTestProcesses } from './stack';

export interface ProductOptions {
  /** Shows in the name of the database. */
  name: string;
  /** Variables of all processes. */
  env?: Record<string, string>;
  /** Variables of the API alone, and of the workers alone. */
  apiEnv?: Record<string, string>;
  workerEnv?: Record<string, string>;
  /** Default: one process that does everything. */
  workers?: readonly ('control' | 'delivery' | 'all')[];
}

export interface Product {
  api: TestApi;
  /** Ends the workers, then the API, and drops the database. */
  close(): Promise<void>;
}

/** The API in this process and real workers beside it, with the same database, namespace and keys. */
export async function startProduct(options: ProductOptions): Promise<Product> {
  const api = await startTestApi({ databaseName: options.name, env: { ...options.env, ...options.apiEnv } });
  await startWorkers(api, options);
  return {
    api,
    close: async () => {
      await stopTestProcesses();
      await api.close();
    },
  };
}

export interface SendingProduct extends Product {
  world: CampaignWorld;
  /** A request below the world's workspace as its member. */
  call(method: string, path: string, body?: unknown): Promise<TestResponse>;
}

/** Also a workspace with contacts and campaigns, whose member `role` of the API's own workspace becomes as well. */
export async function startSendingProduct(
  options: ProductOptions & { contacts: number; role: Role },
): Promise<SendingProduct> {
  const api = await startTestApi({ databaseName: options.name, env: { ...options.env, ...options.apiEnv } });
  const world = await CampaignWorld.create(
    {
      workerUrl: api.database.workerUrl,
      temporalAddress: api.deps.config.TEMPORAL_ADDRESS,
      namespace: api.namespace,
      suppressionKey: api.deps.config.SALLY_SUPPRESSION_KEY,
    },
    options.contacts,
  );
  const { role } = options;
  await api.db.query(sql`INSERT INTO memberships (workspace_id, user_id, role)
    VALUES (${world.workspaceId}, ${api.workspace.people[role].id}, ${role})`);
  await startWorkers(api, options);
  return {
    api,
    world,
    call: (method, path, body) =>
      api.request(method, `/workspaces/${world.workspaceId}${path}`, { token: api.tokens[role], body }),
    close: async () => {
      await stopTestProcesses();
      await world.close();
      await api.close();
    },
  };
}

async function startWorkers(api: TestApi, options: ProductOptions): Promise<void> {
  const env = {
    ...api.environment,
    // As for the API: links in mail lead to it.
    PUBLIC_URL: api.url,
    EMAIL_FROM: 'sally@mail.example',
    LOG_LEVEL: 'warn',
    ...options.env,
    ...options.workerEnv,
  };
  await Promise.all((options.workers ?? ['all']).map((role) => spawnWorker({ role, env })));
}
