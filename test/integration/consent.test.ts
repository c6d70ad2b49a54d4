import { one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { consentWorkspace } from '../support/consent-world';

let api: TestApi;
let workspace: TestWorkspace;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'consent', temporal: 'absent' });
  workspace = await consentWorkspace(api);
});

afterAll(async () => {
  await api.close();
});

const call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) =>
  api.request(method, `/workspaces/${workspace.id}${path}`, { token: workspace.tokens.marketer, body, headers });

async function contact(): Promise<string> {
  const email = `${crypto.randomUUID()}@contacts.example`;
  const row = await one<{ id: string }>(
    api.db,
    sql`INSERT INTO contacts (workspace_id, email, email_hash)
        VALUES (${workspace.id}, ${email}, ${api.deps.addressHasher.hash(email)}) RETURNING id`,
  );
  return row?.id ?? '';
}

async function purpose(key: string): Promise<{ id: string; wording_version: number; version: number }> {
  const { body } = await call('get', '/purposes');
  return body.items.find((item: { key: string }) => item.key === key);
}

const eventTypes = async (contactId: string) => {
  const { rows } = await api.db.query<{ event_type: string }>(
    sql`SELECT event_type FROM marketing_events WHERE contact_id = ${contactId} ORDER BY event_id`,
  );
  return rows.map((row) => row.event_type);
};

describe('purposes', () => {
  test('a new workspace has a newsletter and service messages', async () => {
    const { body } = await call('get', '/purposes');
    expect(body.items.map((item: { key: string; kind: string }) => [item.key, item.kind])).toEqual([
      ['newsletter', 'marketing'],
      ['transactional', 'transactional'],
    ]);
  });

  test('another wording gets the next version and the old one is kept; another name does not', async () => {
    const made = await call('post', '/purposes', {
      key: 'events',
      name: 'Events',
      kind: 'marketing',
      wording: 'Invite me.',
    });
    expect(made.status).toBe(201);
    const path = `/purposes/${made.body.id}`;
    const renamed = await call('patch', path, { name: 'Our events' }, { 'if-match': '"v1"' });
    expect(renamed.body).toMatchObject({ name: 'Our events', wording_version: 1, version: 2 });
    const reworded = await call('patch', path, { wording: 'Invite me to events in my town.' });
    expect(reworded.body).toMatchObject({ wording_version: 2, version: 3 });
    const same = await call('patch', path, { wording: 'Invite me to events in my town.' });
    expect(same.body).toMatchObject({ wording_version: 2 });
    const { body } = await call('get', `${path}/wordings`);
    expect(body.items.map((item: { wording: string }) => item.wording)).toEqual([
      'Invite me.',
      'Invite me to events in my town.',
    ]);
    const stale = await call('patch', path, { name: 'X' }, { 'if-match': '"v1"' });
    expect(stale.status).toBe(412);
  });

  test('an archived purpose takes no sign-up and no change, and its proof stays', async () => {
    const { body } = await call('post', '/purposes', { key: 'old', name: 'Old', kind: 'marketing', wording: 'Old.' });
    expect((await call('delete', `/purposes/${body.id}`)).status).toBe(204);
    expect((await call('patch', `/purposes/${body.id}`, { name: 'New' })).status).toBe(409);
    const signUp = await api.request('post', `/public/${workspace.slug}/sign-up`, {
      body: { email: 'late@visitors.example', purpose: 'old' },
    });
    expect(signUp.body.errors).toEqual([expect.objectContaining({ pointer: '/body/purpose' })]);
    expect((await call('get', `/purposes/${body.id}/wordings`)).body.items).toHaveLength(1);
  });

  test.each([
    [{ key: 'Upper', name: 'X', kind: 'marketing', wording: 'x' }, '/body/key'],
    [{ key: 'a', name: 'X\r\nBcc: y', kind: 'marketing', wording: 'x' }, '/body/name'],
    [{ key: 'a', name: 'X', kind: 'push', wording: 'x' }, '/body/kind'],
    [{ key: 'a', name: 'X', kind: 'marketing', wording: '' }, '/body/wording'],
    [{ key: 'a', name: 'X', kind: 'marketing', wording: 'x', wording_version: 4 }, '/body'],
  ])('refuses %j', async (body, pointer) => {
    const response = await call('post', '/purposes', body);
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe(pointer);
  });

  test('a key is used once', async () => {
    const again = await call('post', '/purposes', { key: 'newsletter', name: 'X', kind: 'marketing', wording: 'x' });
    expect(again.status).toBe(409);
  });
});

describe('consents of a contact', () => {
  test('every statement is proof; only a change is an event', async () => {
    const contactId = await contact();
    const { id, wording_version } = await purpose('newsletter');
    const path = `/contacts/${contactId}/consents/${id}`;
    const granted = await call('put', path, {
      status: 'granted',
      source: 'manual',
      locale: 'de_AT',
      ip_address: '2001:db8::7',
    });
    expect(granted.body).toMatchObject({
      purpose: 'newsletter',
      status: 'granted',
      source: 'manual',
      revoked_at: null,
    });
    await call('put', path, { status: 'granted' });
    const denied = await call('put', path, { status: 'denied' });
    expect(denied.body).toMatchObject({ status: 'denied', granted_at: granted.body.granted_at });
    expect(denied.body.revoked_at).not.toBeNull();

    const proof = await call('get', `/contacts/${contactId}/consent-events`);
    expect(proof.body.items.map((item: { status: string; source: string }) => [item.status, item.source])).toEqual([
      ['denied', 'api'],
      ['granted', 'api'],
      ['granted', 'manual'],
    ]);
    expect(proof.body.items[2]).toMatchObject({
      wording_version,
      wording: expect.stringContaining('newsletter'),
      locale: 'de-AT',
      ip_address: '2001:db8::7',
      actor_id: workspace.people.marketer.id,
    });
    expect(await eventTypes(contactId)).toEqual(['consent_granted', 'consent_revoked']);
    const { body } = await call('get', `/contacts/${contactId}/consents`);
    expect(body.items).toHaveLength(1);
  });

  test('a wording that was never there, a foreign contact and pending are refused', async () => {
    const contactId = await contact();
    const { id } = await purpose('newsletter');
    const path = `/contacts/${contactId}/consents/${id}`;
    expect((await call('put', path, { status: 'granted', wording_version: 99 })).status).toBe(422);
    expect((await call('put', path, { status: 'pending' })).status).toBe(422);
    expect((await call('put', `/contacts/${crypto.randomUUID()}/consents/${id}`, { status: 'granted' })).status).toBe(
      404,
    );
  });

  test('the proof is a list with pages', async () => {
    const contactId = await contact();
    const { id } = await purpose('newsletter');
    for (const status of ['granted', 'denied', 'granted'])
      await call('put', `/contacts/${contactId}/consents/${id}`, { status });
    const first = await call('get', `/contacts/${contactId}/consent-events?limit=2`);
    const second = await call('get', `/contacts/${contactId}/consent-events?limit=2&cursor=${first.body.next_cursor}`);
    expect([...first.body.items, ...second.body.items].map((item: { status: string }) => item.status)).toEqual([
      'granted',
      'denied',
      'granted',
    ]);
    expect(second.body.next_cursor).toBeNull();
  });

  test('the proof cannot be changed by the API or a worker', async () => {
    await expect(api.db.query('UPDATE consent_events SET status = status')).rejects.toMatchObject({ code: '42501' });
    await expect(api.db.query('DELETE FROM purpose_wordings')).rejects.toMatchObject({ code: '42501' });
  });
});

describe('preference categories', () => {
  test('are created and listed', async () => {
    const made = await call('post', '/preference-categories', { key: 'tips', name: 'Tips and tricks' });
    expect(made.status).toBe(201);
    const { body } = await call('get', '/preference-categories');
    expect(body.items.map((item: { key: string }) => item.key)).toEqual(['newsletter', 'tips']);
    expect((await call('post', '/preference-categories', { key: 'tips', name: 'Again' })).status).toBe(409);
  });
});
