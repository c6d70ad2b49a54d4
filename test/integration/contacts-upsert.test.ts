import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'contacts upsert', temporal: 'absent' });
});
afterAll(() => api.close());

const upsert = (contacts: unknown[], workspace: TestWorkspace) =>
  api.request('post', `/workspaces/${workspace.id}/contacts/upsert`, {
    token: workspace.tokens.marketer,
    body: { contacts },
  });
const crm = (value: string) => ({ kind: 'crm', value });

it('gives an external id to one contact when several requests bring it with different addresses at once', async () => {
  const workspace = await api.createWorkspace('Same id');
  const answers = await Promise.all(
    Array.from({ length: 6 }, (_, n) =>
      upsert(
        Array.from({ length: 50 }, (_, i) => ({ email: `n${n}-${i}@same.example`, external_ids: [crm(`s${i}`)] })),
        workspace,
      ),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(answers.reduce((sum, { body }) => sum + body.created, 0)).toBe(50);
  expect(answers.reduce((sum, { body }) => sum + body.updated, 0)).toBe(250);
  const [row] = await many(
    api.db,
    sql`SELECT (SELECT count(*) FROM contacts WHERE workspace_id = ${workspace.id}) AS contacts,
          (SELECT count(DISTINCT contact_id) FROM contact_identities WHERE workspace_id = ${workspace.id}) AS owners,
          (SELECT count(*) FROM submissions WHERE workspace_id = ${workspace.id}) AS submissions`,
  );
  expect(row).toEqual({ contacts: 50, owners: 50, submissions: 300 });
}, 30_000);

it('leaves a submission for each change, in their order, and an event for each contact, all of one moment', async () => {
  const workspace = await api.createWorkspace('Traces');
  const old = 'old@traces.example';
  await upsert([{ email: old }], workspace);
  const row = (email: string, first_name: string) => ({ email, first_name });
  const batch = [row('new@traces.example', 'A'), row(old, 'B'), row('new@traces.example', 'C'), row(old, 'D')];
  expect((await upsert(batch, workspace)).body).toMatchObject({ created: 1, updated: 3 });
  const submitted = await many(
    api.db,
    sql`SELECT c.email, s.payload ->> 'first_name' AS name, s.created_at = c.updated_at AS at_once
        FROM submissions s JOIN contacts c ON c.workspace_id = s.workspace_id AND c.id = s.contact_id
        WHERE s.workspace_id = ${workspace.id} AND s.payload ? 'first_name' ORDER BY c.email, s.id`,
  );
  const expected = [
    ['new@traces.example', 'A'],
    ['new@traces.example', 'C'],
    [old, 'B'],
    [old, 'D'],
  ];
  expect(submitted).toEqual(expected.map(([email, name]) => ({ email, name, at_once: true })));
  const events = await many(
    api.db,
    sql`SELECT c.email, e.event_type, e.created_at = e.received_at AS at_once, e.payload ->> 'origin' AS origin
        FROM marketing_events e JOIN contacts c ON c.workspace_id = e.workspace_id AND c.id = e.contact_id
        WHERE e.workspace_id = ${workspace.id} ORDER BY c.email, e.event_id`,
  );
  const event = (email: string, event_type: string) => ({ email, event_type, at_once: true, origin: 'API' });
  expect(events.slice(0, 1)).toEqual([event('new@traces.example', 'contact_created')]);
  // The first one was made by a request of its own.
  expect(events.slice(1).map(({ event_type }) => event_type)).toEqual(['contact_created', 'contact_updated']);
  expect(events.at(-1)).toEqual(event(old, 'contact_updated'));
});
