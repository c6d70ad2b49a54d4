import { seedConsent } from '../../../db/consent';
import { randomToken } from '../../../platform/crypto';
import { one, type Queryable } from '../../../platform/postgres';
import type { TestApi, TestResponse, TestWorkspace } from '../api';

/** A workspace, and what makes things in it for examples. Every method makes a new thing and returns its id. */
export interface World {
  api: TestApi;
  workspace: TestWorkspace;
  /** As sally_worker. */
  db: Queryable;
  /** An id for names that must be unique. */
  unique(): string;
  /** Inserts a row into a table of the workspace; `id` of the new row. Values are bound; JSON must be text. */
  insert(table: string, values: Record<string, unknown>): Promise<string>;
  /** An ACTIVE contact without consents. */
  contact(values?: Record<string, unknown>): Promise<string>;
  /** An empty static list. */
  audience(): Promise<string>;
  /** Calls the API as the owner of this workspace (`{ws}` = this one); throws unless it answers 2xx. */
  call(method: string, path: string, body?: unknown): Promise<TestResponse>;
}

/** A fresh workspace of `api` as a world, seeded like every new workspace. */
export async function exampleWorld(api: TestApi): Promise<World> {
  const workspace = await api.createWorkspace('World');
  const { db } = api;
  await seedConsent(db, workspace.id);
  const unique = () =>
    randomToken(9)
      .toLowerCase()
      .replace(/[^a-z0-9]/g, 'x');
  const insert = (table: string, values: Record<string, unknown>) => insertRow(db, workspace.id, table, values);
  return {
    api,
    workspace,
    db,
    unique,
    insert,
    contact: (values = {}) => {
      const email = `${unique()}@contacts.example`;
      return insert('contacts', { email, email_hash: api.deps.addressHasher.hash(email), ...values });
    },
    audience: () => insert('audiences', { name: `List ${unique()}` }),
    call: async (method, path, body) => {
      const response = await api.request(method, path.replace('{ws}', workspace.id), {
        token: workspace.tokens.owner,
        body,
      });
      if (response.status >= 300) throw new Error(`${method} ${path}: ${response.status} ${response.text}`);
      return response;
    },
  };
}

async function insertRow(
  db: Queryable,
  workspaceId: string,
  table: string,
  values: Record<string, unknown>,
): Promise<string> {
  const all = { workspace_id: workspaceId, ...values };
  const names = Object.keys(all);
  const statement = {
    text: `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')}) RETURNING id`,
    values: Object.values(all),
  };
  const row = await one<{ id: string }>(db, statement);
  if (!row) throw new Error(`no row was made in ${table}`);
  return row.id;
}
