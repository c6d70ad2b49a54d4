import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'explain-message', temporal: 'absent' });
  world = await exampleWorld(api);
});
afterAll(() => api.close());

const explain = (contactId: string, query: Record<string, string>, of = world) =>
  api.request('GET', `/workspaces/${of.workspace.id}/contacts/${contactId}/explain`, {
    token: of.workspace.tokens.viewer,
    query,
  });

const consent = async (contact: string, status: 'granted' | 'denied', purpose: string) => {
  const { body } = await world.call('get', '/workspaces/{ws}/purposes');
  const { id } = body.items.find((item: { key: string }) => item.key === purpose);
  await world.call('put', `/workspaces/{ws}/contacts/${contact}/consents/${id}`, { status });
};

describe('the explanation of a hypothetical message', () => {
  test('for a purpose goes by the consent, and names its proof', async () => {
    const contact = await world.contact();
    const before = await explain(contact, { purpose: 'newsletter' });
    expect(before.body).toMatchObject({
      campaign_id: null,
      hypothetical: true,
      in_audience: null,
      verdict: { kind: 'FAIL', reason: 'CONSENT_MISSING', until: null },
      evidence: { consent: null, approval: null },
      delivery: null,
      attempts: [],
    });
    await consent(contact, 'granted', 'newsletter');
    const after = (await explain(contact, { purpose: 'newsletter', category: 'newsletter' })).body;
    expect(after.verdict).toEqual({ kind: 'OK', reason: null, until: null });
    expect(after.evidence.consent).toMatchObject({ status: 'granted', event_id: expect.any(String) });
    // Another class of the same purpose needs none.
    const other = await world.contact();
    expect((await explain(other, { purpose: 'newsletter', class: 'transactional' })).body.verdict.kind).toBe('OK');
    await consent(other, 'denied', 'transactional');
    const denied = (await explain(other, { purpose: 'transactional', class: 'transactional' })).body;
    expect(denied.verdict).toMatchObject({ kind: 'FAIL', reason: 'CONSENT_DENIED' });
  });

  test('shows every check, with the suppression that stops all classes', async () => {
    const contact = await world.contact({ status: 'UNSUBSCRIBED' });
    const { rows } = await api.db.query<{ email_hash: Buffer }>('SELECT email_hash FROM contacts WHERE id = $1', [
      contact,
    ]);
    const suppression = await world.insert('suppressions', {
      address_hash: rows[0]?.email_hash,
      hint: 'x',
      reason: 'COMPLAINT',
      source: 'API',
    });
    for (const messageClass of ['bulk', 'journey', 'transactional', 'test']) {
      const { body } = await explain(contact, { class: messageClass });
      expect(body.verdict).toMatchObject({ kind: 'FAIL', reason: 'SUPPRESSED_ADDRESS' });
      expect(body.evidence.address_suppression).toMatchObject({ id: suppression, reason: 'COMPLAINT' });
      const status = body.checks.find((check: { check: string }) => check.check === 'address status');
      const stops = messageClass === 'bulk' || messageClass === 'journey';
      expect(status.verdict.reason).toBe(stops ? 'UNSUBSCRIBED' : null);
    }
  });

  test('answers clearly to what it cannot explain', async () => {
    const contact = await world.contact();
    for (const query of [
      {},
      { campaign: contact, class: 'bulk' },
      { purpose: 'unknown' },
      { category: "x'; DROP TABLE contacts; --" },
      { class: 'opt-in' },
    ]) {
      expect((await explain(contact, query as Record<string, string>)).status).toBe(422);
    }
    expect((await explain(world.workspace.id, { class: 'bulk' })).status).toBe(404);
    const foreign = await exampleWorld(api);
    expect((await explain(contact, { class: 'bulk' }, foreign)).status).toBe(404);
  });
});
