import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { confirmToken, consentWorkspace, messageToken, sentMessage } from '../support/consent-world';

let api: TestApi;
let workspace: TestWorkspace;
let counter = 0;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'contacts merge', temporal: 'absent' });
  workspace = await consentWorkspace(api);
});
afterAll(() => api.close());

const call = (method: string, path: string, body?: unknown) =>
  api.request(method, `/workspaces/${workspace.id}/${path}`, { token: workspace.tokens.owner, body });

async function contact(profile: object = {}): Promise<{ id: string; email: string }> {
  const email = `merge-${++counter}@people.example`;
  const made = await call('post', 'contacts', { email, ...profile });
  expect(made.status).toBe(201);
  return { id: made.body.id, email };
}

const merge = (survivor: { id: string }, other: { id: string }) =>
  call('post', `contacts/${survivor.id}/merge`, { contact_id: other.id });

async function two(first: object = {}, second: object = {}) {
  return { survivor: await contact(first), other: await contact(second) };
}

describe('a merge', () => {
  it('keeps what the survivor says, fills gaps, joins tags and external ids, and redirects the old id for good', async () => {
    const { survivor, other } = await two(
      { first_name: 'Ada', tags: ['a'], external_ids: [{ kind: 'crm', value: 'm1' }] },
      { first_name: 'Augusta', last_name: 'Lovelace', tags: ['b'], external_ids: [{ kind: 'crm', value: 'm2' }] },
    );
    const merged = await merge(survivor, other);
    expect(merged.status).toBe(200);
    expect(merged.body).toMatchObject({
      id: survivor.id,
      email: survivor.email,
      first_name: 'Ada',
      last_name: 'Lovelace',
      tags: ['a', 'b'],
      external_ids: [
        { kind: 'crm', value: 'm1' },
        { kind: 'crm', value: 'm2' },
      ],
    });
    for (const [method, below] of [
      ['get', ''],
      ['get', '/submissions?limit=2'],
      ['get', '/consents'],
      ['get', '/timeline'],
      ['post', '/rebuild'],
      ['delete', ''],
      ['patch', ''],
    ] as const) {
      const redirect = await fetch(`${api.url}/workspaces/${workspace.id}/contacts/${other.id}${below}`, {
        method: method.toUpperCase(),
        redirect: 'manual',
        headers: { authorization: `Bearer ${workspace.apiKey}`, 'content-type': 'application/json' },
        ...(method === 'patch' ? { body: '{}' } : {}),
      });
      expect(redirect.status).toBe(308);
      expect(redirect.headers.get('location')).toBe(`/workspaces/${workspace.id}/contacts/${survivor.id}${below}`);
      expect(await redirect.json()).toEqual({ merged_into: survivor.id });
    }
    const history = await call('get', `contacts/${survivor.id}/submissions`);
    expect(history.body.items.map(({ origin }: { origin: string }) => origin)).toEqual(['MERGE', 'API', 'API']);
    const listed = await call('get', `contacts?search=${encodeURIComponent(other.email)}`);
    expect(listed.body.items).toEqual([]);
  });

  it('repeated changes nothing, and chains lead to the last survivor', async () => {
    const [a, b, c] = [await contact(), await contact(), await contact()];
    expect((await merge(b, a)).status).toBe(200);
    const once = await call('get', `contacts/${b.id}`);
    expect((await merge(b, a)).body).toEqual(once.body);
    expect((await merge(c, b)).status).toBe(200);
    const rows = await many(api.db, sql`SELECT merged_into FROM contacts WHERE id IN (${a.id}, ${b.id})`);
    expect(rows).toEqual([{ merged_into: c.id }, { merged_into: c.id }]);
  });

  it('lets the old address be found until somebody new has it, or the person is erased', async () => {
    const { survivor, other } = await two();
    const last = await contact();
    await merge(survivor, other);
    await merge(last, survivor);
    const lookUp = (email: string) => call('post', 'contacts/lookup', { email });
    for (const { email } of [other, survivor, last]) expect((await lookUp(email.toUpperCase())).body.id).toBe(last.id);
    const told = await call('post', 'events', { event_type: 'purchase', email: other.email });
    expect(told.status).toBe(201);
    const event = await one<{ contact_id: string }>(
      api.db,
      sql`SELECT contact_id FROM marketing_events WHERE event_id = ${told.body.event_id}`,
    );
    expect(event?.contact_id).toBe(last.id);
    const fresh = await call('post', 'contacts', { email: other.email });
    expect(fresh.status).toBe(201);
    expect((await lookUp(other.email)).body.id).toBe(fresh.body.id);
    expect((await call('delete', `contacts/${last.id}`)).status).toBe(202);
    for (const { email } of [survivor, last]) expect((await lookUp(email)).status).toBe(404);
    const left = await one<{ n: number }>(
      api.db,
      sql`SELECT count(*) AS n FROM merged_addresses WHERE contact_id IN (${survivor.id}, ${other.id})`,
    );
    expect(left?.n).toBe(0);
  });

  it('refuses itself, the unknown, the foreign, the erased and what was merged elsewhere', async () => {
    const [a, b, c] = [await contact(), await contact(), await contact()];
    expect((await merge(a, a)).status).toBe(422);
    expect((await merge(a, { id: uuidv7() })).status).toBe(422);
    expect((await merge({ id: uuidv7() }, a)).status).toBe(404);
    const foreign = await api.createWorkspace('Foreign');
    const theirs = await api.request('post', `/workspaces/${foreign.id}/contacts`, {
      token: foreign.tokens.owner,
      body: { email: 'theirs@people.example' },
    });
    expect((await merge(a, theirs.body)).status).toBe(422);
    expect((await merge(a, b)).status).toBe(200);
    expect((await merge(c, b)).status).toBe(409);
    expect((await merge(b, c)).status).toBe(409);
    const erased = await contact();
    await api.db.query(sql`UPDATE contacts SET erased_at = sally_now() WHERE id = ${erased.id}`);
    expect((await merge(a, erased)).status).toBe(409);
    expect((await merge(erased, a)).status).toBe(404);
  });

  it('is one merge when both directions are asked for at once', async () => {
    const { survivor, other } = await two();
    const answers = await Promise.all([merge(survivor, other), merge(other, survivor), merge(survivor, other)]);
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(1);
    expect(statuses.every((status) => [200, 409].includes(status))).toBe(true);
    const alive = await many(
      api.db,
      sql`SELECT id FROM contacts WHERE id IN (${survivor.id}, ${other.id}) AND erased_at IS NULL`,
    );
    expect(alive).toHaveLength(1);
  });
});

describe('consent after a merge', () => {
  async function purpose(): Promise<string> {
    const row = await one<{ id: string }>(
      api.db,
      sql`SELECT id FROM purposes WHERE workspace_id = ${workspace.id} AND key = 'newsletter'`,
    );
    return row?.id ?? '';
  }
  const states = [null, 'granted', 'pending', 'denied'] as const;
  const strictness = (state: (typeof states)[number]) => states.indexOf(state);

  it.each(states.flatMap((survivor) => states.map((other) => [survivor, other] as const)))(
    'of %s and %s is the stricter one, with proof',
    async (before, others) => {
      const pair = await two();
      const purposeId = await purpose();
      for (const [{ id }, status] of [
        [pair.survivor, before],
        [pair.other, others],
      ] as const) {
        if (status === null) continue;
        await api.db.query(sql`
          INSERT INTO consents (workspace_id, contact_id, purpose_id, status, source) VALUES (${workspace.id}, ${id}, ${purposeId}, ${status}, 'api')`);
        await api.db.query(sql`
          INSERT INTO consent_events (workspace_id, contact_id, purpose_id, status, source, wording_version)
          VALUES (${workspace.id}, ${id}, ${purposeId}, ${status}, 'api', 1)`);
      }
      expect((await merge(pair.survivor, pair.other)).status).toBe(200);
      const expected = strictness(before) >= strictness(others) ? before : others;
      const [state] = await many<{ status: string }>(
        api.db,
        sql`SELECT status FROM consents WHERE contact_id = ${pair.survivor.id} AND purpose_id = ${purposeId}`,
      );
      expect(state?.status ?? null).toBe(expected);
      const [proof] = await many<{ status: string; wording_version: number | null }>(
        api.db,
        sql`SELECT status, wording_version FROM consent_events WHERE contact_id = ${pair.survivor.id} ORDER BY id DESC LIMIT 1`,
      );
      expect(proof?.status ?? null).toBe(expected);
      if (others !== null && expected !== before) expect(proof?.wording_version).toBe(1);
    },
  );

  it('has the stricter status and preferences, and cancels what was asked at the old address', async () => {
    const signUp = await contact();
    const survivor = await contact();
    const begun = await api.request('post', `/public/${workspace.slug}/sign-up`, {
      body: { email: signUp.email, purpose: 'newsletter' },
    });
    const requests = await many<{ id: string }>(
      api.db,
      sql`SELECT id FROM opt_in_requests WHERE contact_id = ${signUp.id} AND status = 'OPEN'`,
    );
    const category = await one<{ id: string }>(
      api.db,
      sql`SELECT id FROM preference_categories WHERE workspace_id = ${workspace.id} LIMIT 1`,
    );
    await api.db.query(sql`
      INSERT INTO category_preferences (workspace_id, contact_id, category_id, subscribed, source, frequency)
      VALUES (${workspace.id}, ${signUp.id}, ${category?.id}, false, 'LINK', 'WEEKLY'),
        (${workspace.id}, ${survivor.id}, ${category?.id}, true, 'API', 'DAILY')`);
    await api.db.query(sql`UPDATE contacts SET status = 'UNSUBSCRIBED' WHERE id = ${signUp.id}`);
    const [request] = requests;
    const token = request ? await confirmToken(api, workspace.id, request.id) : null;
    const merged = await merge(survivor, signUp);
    expect(merged.body.status).toBe('UNSUBSCRIBED');
    const preferences = await many(
      api.db,
      sql`SELECT contact_id, subscribed, source, frequency FROM category_preferences WHERE contact_id IN (${survivor.id}, ${signUp.id})`,
    );
    expect(preferences).toEqual([{ contact_id: survivor.id, subscribed: false, source: 'LINK', frequency: 'WEEKLY' }]);
    if (token !== null && begun.status < 300) {
      const [closed] = await many(api.db, sql`SELECT status FROM opt_in_requests WHERE id = ${request?.id}`);
      expect(closed).toEqual({ status: 'CANCELLED' });
    }
  });

  it('has the suppressions of the person, not those of the address', async () => {
    for (const [reason, follows] of [
      ['COMPLAINT', true],
      ['MANUAL', true],
      ['BOUNCE', false],
    ] as const) {
      const { survivor, other } = await two();
      const hash = (email: string) => api.deps.addressHasher.hash(email);
      await api.db.query(sql`
        INSERT INTO suppressions (workspace_id, address_hash, hint, reason, source)
        VALUES (${workspace.id}, ${hash(other.email)}, 'm…', ${reason}, 'API')`);
      await merge(survivor, other);
      const rows = await many<{ reason: string }>(
        api.db,
        sql`SELECT reason FROM suppressions WHERE workspace_id = ${workspace.id} AND address_hash = ${hash(survivor.email)}`,
      );
      expect(rows).toEqual(follows ? [{ reason }] : []);
    }
  });
});

describe('messages and lists after a merge', () => {
  it('lists hold the person once, with exact counts', async () => {
    const { survivor, other } = await two();
    const lists: string[] = [];
    for (const members of [[survivor, other], [other]]) {
      const made = await call('post', 'audiences', { name: `List ${++counter}` });
      await call('post', `audiences/${made.body.id}/members`, { contact_ids: members.map(({ id }) => id) });
      lists.push(made.body.id);
    }
    await merge(survivor, other);
    const rows = await many(
      api.db,
      sql`SELECT a.member_count, array_agg(m.contact_id) AS members FROM audiences a JOIN audience_members m ON m.audience_id = a.id
          WHERE a.id = ANY(${lists}::uuid[]) GROUP BY a.id, a.member_count`,
    );
    expect(rows).toEqual([
      { member_count: 1, members: [survivor.id] },
      { member_count: 1, members: [survivor.id] },
    ]);
  });

  it('nobody gets the same message by both, counters stay right, and old links work', async () => {
    const sent = await sentMessage(api, workspace.id);
    const { survivor, other } = await two();
    const streamId = uuidv7();
    const insert = async (contactId: string, sourceId: string, status: string, stepKey = 'send') => {
      const id = uuidv7();
      await api.db.query(sql`
        INSERT INTO deliveries (workspace_id, source_type, source_id, id, step_key, recipient_key, contact_id, message_id,
          lane_id, stream_id, mx_group, class, priority, status, not_before)
        SELECT workspace_id, source_type, ${sourceId}, ${id}, ${stepKey}, ${contactId}, ${contactId}, message_id, lane_id,
          ${streamId}, 'gmail', class, priority, ${status}, not_before FROM deliveries WHERE id = ${sent.deliveryId}`);
      return { sourceId, deliveryId: id };
    };
    const [both, otherOnly, otherSent, survivorSent] = [uuidv7(), uuidv7(), uuidv7(), uuidv7()];
    const rows = {
      bothSurvivor: await insert(survivor.id, both, 'QUEUED'),
      bothOther: await insert(other.id, both, 'QUEUED'),
      otherOnly: await insert(other.id, otherOnly, 'QUEUED'),
      sentOther: await insert(other.id, otherSent, 'SENT'),
      waitsSurvivor: await insert(survivor.id, otherSent, 'QUEUED'),
      sentSurvivor: await insert(survivor.id, survivorSent, 'SENT'),
      waitsOther: await insert(other.id, survivorSent, 'QUEUED'),
    };
    await api.db.query(sql`
      INSERT INTO run_counters (workspace_id, stream_id, process_id, materialised, queued, sent)
      VALUES (${workspace.id}, ${streamId}, ${uuidv7()}, 7, 5, 2)`);
    expect((await merge(survivor, other)).status).toBe(200);
    const now = await many<{ id: string; status: string; reason: string | null; contact_id: string; mx_group: string }>(
      api.db,
      sql`SELECT id, status, reason, contact_id, mx_group FROM deliveries WHERE stream_id = ${streamId}`,
    );
    const statusOf = (row: { deliveryId: string }) => now.find(({ id }) => id === row.deliveryId)?.status;
    expect(Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, statusOf(row)]))).toEqual({
      bothSurvivor: 'QUEUED',
      bothOther: 'CANCELLED',
      otherOnly: 'QUEUED',
      sentOther: 'SENT',
      waitsSurvivor: 'CANCELLED',
      sentSurvivor: 'SENT',
      waitsOther: 'CANCELLED',
    });
    expect(now.every(({ contact_id }) => contact_id === survivor.id)).toBe(true);
    expect(now.filter(({ status }) => status === 'CANCELLED').map(({ reason }) => reason)).toEqual(
      Array(3).fill('MERGED'),
    );
    expect(now.find(({ id }) => id === rows.otherOnly.deliveryId)?.mx_group).toBe('other');
    const [counted] = await many(
      api.db,
      sql`SELECT sum(queued)::int AS queued, sum(cancelled)::int AS cancelled, sum(sent)::int AS sent FROM run_counters WHERE stream_id = ${streamId}`,
    );
    expect(counted).toEqual({ queued: 2, cancelled: 3, sent: 2 });
    // The other one's mail was sent: its unsubscribe link is the survivor's now.
    const path = `/u/${messageToken(api, 'message-unsubscribe', { ...sent, ...rows.sentOther })}`;
    const left = await api.request('post', path, {
      rawBody: 'List-Unsubscribe=One-Click',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(left.status).toBe(200);
    expect((await call('get', `contacts/${survivor.id}`)).body.status).toBe('UNSUBSCRIBED');
  });

  it('sequences go on with the survivor, once', async () => {
    const { survivor, other } = await two();
    const insert = async (table: string, values: Record<string, unknown>): Promise<string> => {
      const names = ['workspace_id', ...Object.keys(values)];
      const row = await one<{ id: string }>(api.db, {
        text: `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((_, n) => `$${n + 1}`).join(', ')}) RETURNING id`,
        values: [workspace.id, ...Object.values(values)],
      });
      return row?.id ?? '';
    };
    const lane_id = await insert('lanes', { kind: 'mailboxes', key: '0' });
    const purpose = await one<{ id: string }>(
      api.db,
      sql`SELECT id FROM purposes WHERE workspace_id = ${workspace.id} AND kind = 'marketing'`,
    );
    const sequence = async () =>
      insert('sequences', {
        name: `Sequence ${++counter}`,
        stream_id: await insert('streams', { lane_id, source_type: 'SEQUENCE', priority: 6 }),
        send_window: '{}',
        purpose_id: purpose?.id,
      });
    const [both, one_] = [await sequence(), await sequence()];
    const enrol = (sequence_id: string, { id }: { id: string }) =>
      insert('sequence_enrolments', { sequence_id, contact_id: id, due_at: new Date() });
    const kept = await enrol(both, survivor);
    const stopped = await enrol(both, other);
    const moved = await enrol(one_, other);
    await merge(survivor, other);
    const rows = await many<{ id: string; contact_id: string; status: string }>(
      api.db,
      sql`SELECT id, contact_id, status FROM sequence_enrolments WHERE workspace_id = ${workspace.id} ORDER BY id`,
    );
    expect(rows).toEqual([
      { id: kept, contact_id: survivor.id, status: 'ACTIVE' },
      { id: stopped, contact_id: other.id, status: 'STOPPED' },
      { id: moved, contact_id: survivor.id, status: 'ACTIVE' },
    ]);
  });
});
