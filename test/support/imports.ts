import { Writable } from 'node:stream';
import { z } from 'zod';
import { CONTACT_FIELDS, writeContacts } from '../../dev/samples/contacts';
import {
  CsvReader,
  type FieldDefinition,
  fromSubmissionPayload,
  mapHeaders,
  type Profile,
  type ProfileChanges,
  parseRow,
  planRow,
  rebuildProfile,
} from '../../domain/contacts';
import { many, type Queryable, sql } from '../../platform/postgres';
import type { TestApi, TestWorkspace } from './api';

/** A contact CSV of the sample generator: about one row in 50 is dirty. */
export async function sampleContacts(rows: number, seed: number): Promise<string> {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  await writeContacts(stream, rows, seed);
  return text;
}

/** What the rules say of a file, row by row, without batches or a database. */
export function expectedImport(
  text: string,
  onInvalidField: 'reject' | 'skip-field',
  before: ReadonlyMap<string, Profile> = new Map(),
): {
  counts: Record<'created' | 'updated' | 'unchanged' | 'rejected', number>;
  profiles: Map<string, Profile>;
  rejected: number[];
} {
  const reader = new CsvReader({ delimiter: ',', newline: '\n', maxRow: 1_000_000 });
  reader.push(text);
  reader.end();
  const definitions: FieldDefinition[] = CONTACT_FIELDS.map((field) => ({ ...field }));
  const mapped = mapHeaders(reader.next() ?? [], definitions);
  if (!mapped.ok) throw new Error('the sample cannot be mapped');
  const counts = { created: 0, updated: 0, unchanged: 0, rejected: 0 };
  const profiles = new Map(before);
  const rejected: number[] = [];
  for (let cells = reader.next(); cells !== null; cells = reader.next()) {
    const row = parseRow(mapped.mapping, cells, { onInvalidField });
    const plan = row.ok
      ? planRow(mapped.mapping, row.contact, profiles.get(row.contact.email) ?? null, [])
      : ({ kind: 'reject' } as const);
    if (plan.kind === 'reject') {
      counts.rejected++;
      rejected.push(reader.row);
    } else if (plan.kind === 'unchanged') counts.unchanged++;
    else {
      counts[plan.kind === 'create' ? 'created' : 'updated']++;
      if (row.ok) profiles.set(row.contact.email, plan.profile);
    }
  }
  return { counts, profiles, rejected };
}

/** Defines the custom fields of the sample generator. */
export async function defineSampleFields(api: TestApi, workspace: TestWorkspace): Promise<void> {
  for (const field of CONTACT_FIELDS) {
    const body = {
      name: field.key,
      label: field.label,
      type: field.type,
      enum_values: 'options' in field ? field.options : null,
    };
    const made = await api.request('post', `/workspaces/${workspace.id}/contact-fields`, {
      token: workspace.tokens.marketer,
      body,
    });
    if (made.status !== 201) throw new Error(made.text);
  }
}

/** Uploads a file and starts its import; `url` of another API process than the one in this process. */
export async function startImport(
  workspace: TestWorkspace,
  url: string,
  file: string | Buffer,
  options: object = {},
): Promise<{ id: string; workflowId: string }> {
  const headers = { authorization: `Bearer ${workspace.apiKey}` };
  const uploaded = await fetch(`${url}/workspaces/${workspace.id}/uploads`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'text/csv' },
    body: typeof file === 'string' ? file : new Uint8Array(file),
  });
  if (uploaded.status !== 201) throw new Error(`upload: ${uploaded.status} ${await uploaded.text()}`);
  const { id: upload_id } = z.object({ id: z.string() }).parse(await uploaded.json());
  const started = await fetch(`${url}/workspaces/${workspace.id}/imports`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ upload_id, ...options }),
  });
  if (started.status !== 202) throw new Error(`import: ${started.status} ${await started.text()}`);
  const reference = z.object({ id: z.string(), workflow: z.object({ workflow_id: z.string() }) });
  const body = reference.parse(await started.json());
  return { id: body.id, workflowId: body.workflow.workflow_id };
}

interface StoredContact {
  id: string;
  email: string;
  first_name: string;
  last_name: string;
  locale: string | null;
  time_zone: string | null;
  tags: string[];
  fields: Profile['fields'];
}

/** The workspace's contacts as stored, by address; without those that were merged into another one. */
export async function storedProfiles(db: Queryable, workspaceId: string): Promise<Map<string, Profile>> {
  const rows = await many<StoredContact>(
    db,
    sql`SELECT * FROM contacts WHERE workspace_id = ${workspaceId} AND merged_into IS NULL`,
  );
  return new Map(rows.map((row) => [row.email, profileOf(row)]));
}

/**
 * The same as their submissions say. A merged contact's end with the address that it had, which another one may have by
 * now.
 */
export async function rebuiltProfiles(db: Queryable, workspaceId: string): Promise<Map<string, Profile>> {
  const rows = await many<{ contact_id: string; payload: unknown }>(
    db,
    sql`SELECT s.contact_id, s.payload FROM submissions s
        JOIN contacts c ON c.workspace_id = s.workspace_id AND c.id = s.contact_id AND c.merged_into IS NULL
        WHERE s.workspace_id = ${workspaceId} ORDER BY s.contact_id, s.id`,
  );
  const changes = new Map<string, ProfileChanges[]>();
  for (const { contact_id, payload } of rows) {
    const list = changes.get(contact_id) ?? [];
    list.push(fromSubmissionPayload(payload));
    changes.set(contact_id, list);
  }
  const profiles = [...changes.values()].map((list) => rebuildProfile(list));
  return new Map(profiles.map((profile) => [profile.email ?? '', profile]));
}

function profileOf(row: StoredContact): Profile {
  return {
    email: row.email,
    firstName: row.first_name || null,
    lastName: row.last_name || null,
    locale: row.locale,
    timeZone: row.time_zone,
    tags: row.tags,
    fields: row.fields,
  };
}
