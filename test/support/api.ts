import type { ApiDependencies } from '../../api/dependencies';
import { signSession } from '../../api/http/session-token';
import { PERMISSIONS, ROLES, type Role } from '../../domain/workspace/permissions';
import { readConfiguration } from '../../platform/config';
import { randomToken, sha256 } from '../../platform/crypto';
import { uuidv7 } from '../../platform/ids';
import { createLogger } from '../../platform/log';
import { hashPassword } from '../../platform/passwords';
import { Database, one, sql } from '../../platform/postgres';
import type { Client } from '../../platform/temporal';
import { createDependencies, createServer, stopServer } from '../../server';
import { processEnvironment, type TestDatabase, testDatabase, testNamespace } from './stack';

export const TEST_PASSWORD = 'correct horse battery staple';
let passwordHash: Promise<string> | undefined;

export interface TestPerson {
  id: string;
  email: string;
  role: Role;
  /** Session token. */
  token: string;
}

export interface TestWorkspace {
  id: string;
  slug: string;
  /** One member per role; their password is TEST_PASSWORD. */
  people: Record<Role, TestPerson>;
  /** Session token per role. */
  tokens: Record<Role, string>;
  /** A key of the owner with every scope. */
  apiKey: string;
}

export interface TestRequest {
  /** Session token or API key; none = no Authorization header. */
  token?: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, with `headers['content-type']`. */
  rawBody?: string | Uint8Array<ArrayBuffer>;
  query?: Record<string, string | number | boolean>;
  headers?: Record<string, string>;
}

export interface TestResponse {
  status: number;
  headers: Headers;
  /** Parsed when JSON or problem+json, else null. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
  text: string;
}

export interface TestApi {
  url: string;
  deps: ApiDependencies;
  /** As sally_worker: sees every workspace, for arranging and looking. */
  db: Database;
  database: TestDatabase;
  /** Temporal namespace that the API starts workflows in (no worker runs there by itself). */
  namespace: string;
  /** Environment for server.ts and worker.ts processes beside this API: same database, namespace and keys. */
  environment: Record<string, string>;
  /** A workspace with one member per role. */
  workspace: TestWorkspace;
  tokens: Record<Role, string>;
  apiKey: string;
  /** A further workspace with members of its own. */
  createWorkspace(name?: string): Promise<TestWorkspace>;
  /** A key of the member with that role, limited to `scopes`. */
  createApiKey(workspace: TestWorkspace, scopes: readonly string[], role?: Role): Promise<string>;
  /** `path` from the root; `{ws}` stands for the first workspace. */
  request(method: string, path: string, request?: TestRequest): Promise<TestResponse>;
  close(): Promise<void>;
}

export interface TestApiOptions {
  databaseName: string;
  /** Another database than a fresh one, for example one of a Postgres that the test stops. Not dropped by close(). */
  database?: TestDatabase;
  /** 'absent': nothing listens at the Temporal address. Default: a namespace of its own on the shared server. */
  temporal?: 'absent' | { address: string; namespace: string };
  /** More environment variables. */
  env?: Record<string, string>;
}

/** The API in this process on a port of its own, against a fresh database, connected as sally_api. */
export async function startTestApi(options: TestApiOptions): Promise<TestApi> {
  const database = options.database ?? (await testDatabase(options.databaseName));
  const namespace =
    options.temporal === 'absent' ? 'absent' : (options.temporal?.namespace ?? (await testNamespace('api')));
  const address =
    options.temporal === 'absent'
      ? '127.0.0.1:1'
      : options.temporal === undefined
        ? undefined
        : options.temporal.address;
  const environment = await processEnvironment({ database, namespace, temporal: address });
  const config = readConfiguration({
    EMAIL_FROM: 'sally@mail.example',
    ...environment,
    LOG_LEVEL: 'error',
    ...options.env,
  });
  const { deps, close: closeDependencies } = createDependencies(
    config,
    createLogger({ name: 'test-api', level: config.LOG_LEVEL }),
  );
  if (options.temporal === undefined) waitForTemporal(deps.temporal);
  const server = createServer(deps);
  // Else a request after a pause may take a connection that the server is just closing.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const listening = server.address();
  const url = `http://127.0.0.1:${typeof listening === 'object' && listening ? listening.port : 0}`;
  const db = new Database({ url: database.workerUrl, applicationName: 'test', connections: 5 });
  const createWorkspace = (name = 'Test workspace') => makeWorkspace(db, deps, name);
  const workspace = await createWorkspace();
  return {
    url,
    deps,
    db,
    database,
    namespace,
    environment,
    workspace,
    tokens: workspace.tokens,
    apiKey: workspace.apiKey,
    createWorkspace,
    createApiKey: (inWorkspace, scopes, role = 'owner') =>
      insertApiKey(db, inWorkspace.id, inWorkspace.people[role].id, scopes),
    request: (method, path, request) => sendRequest(url, method, path.replace('{ws}', workspace.id), request),
    close: async () => {
      server.closeAllConnections();
      await stopServer(server);
      await closeDependencies();
      await db.close();
      if (!options.database) await database.drop();
    },
  };
}

/**
 * The API gives a call up after three seconds, and leaves the rest to the watchdog. Most suites have none, and on a crowded
 * machine the shared server may stand still for longer.
 */
function waitForTemporal(client: Client): void {
  const withDeadline = client.withDeadline.bind(client);
  client.withDeadline = (deadline, work) => withDeadline(Number(deadline) + 60_000, work);
}

/** One request to the API at `url`. */
export async function sendRequest(
  url: string,
  method: string,
  path: string,
  request: TestRequest = {},
): Promise<TestResponse> {
  const target = new URL(path, url);
  for (const [name, value] of Object.entries(request.query ?? {})) target.searchParams.set(name, String(value));
  const json = request.body !== undefined;
  const response = await fetch(target, {
    method: method.toUpperCase(),
    redirect: 'manual',
    headers: {
      ...(request.token ? { authorization: `Bearer ${request.token}` } : {}),
      ...(json ? { 'content-type': 'application/json' } : {}),
      ...request.headers,
    },
    ...(json ? { body: JSON.stringify(request.body) } : {}),
    ...(request.rawBody !== undefined ? { body: request.rawBody } : {}),
  });
  const text = await response.text();
  const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, text, body: isJson && text ? JSON.parse(text) : null };
}

async function makeWorkspace(db: Database, deps: ApiDependencies, name: string): Promise<TestWorkspace> {
  passwordHash ??= hashPassword(TEST_PASSWORD);
  const hash = await passwordHash;
  const id = uuidv7();
  const slug = `test-${randomToken(6)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, 'x')}`;
  await db.query(
    sql`INSERT INTO workspaces (id, name, slug, message_domain, from_email)
        VALUES (${id}, ${name}, ${slug}, 'mail.example', 'news@mail.example')`,
  );
  const entries = await Promise.all(
    ROLES.map(async (role): Promise<[Role, TestPerson]> => {
      const email = `${role}-${randomToken(6)
        .toLowerCase()
        .replace(/[^a-z0-9]/g, 'x')}@people.example`;
      const user = await one<{ id: string; session_epoch: number }>(
        db,
        sql`INSERT INTO users (email, name, password_hash) VALUES (${email}, ${`The ${role}`}, ${hash})
            RETURNING id, session_epoch`,
      );
      if (!user) throw new Error('no user was made');
      await db.query(sql`INSERT INTO memberships (workspace_id, user_id, role) VALUES (${id}, ${user.id}, ${role})`);
      return [role, { id: user.id, email, role, token: signSession(deps.keyring, user.id, user.session_epoch) }];
    }),
  );
  const people = Object.fromEntries(entries) as Record<Role, TestPerson>;
  const tokens = Object.fromEntries(entries.map(([role, person]) => [role, person.token])) as Record<Role, string>;
  const apiKey = await insertApiKey(db, id, people.owner.id, PERMISSIONS);
  return { id, slug, people, tokens, apiKey };
}

async function insertApiKey(
  db: Database,
  workspaceId: string,
  userId: string,
  scopes: readonly string[],
): Promise<string> {
  const key = `sally_${randomToken()}`;
  await db.query(
    sql`INSERT INTO api_keys (workspace_id, user_id, name, key_hash, key_hint, scopes)
        VALUES (${workspaceId}, ${userId}, 'Test', ${sha256(key)}, ${key.slice(0, 10)}, ${scopes})`,
  );
  return key;
}
