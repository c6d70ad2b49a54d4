import { noteSoftBounce } from '../../db/delivery';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { consentWorkspace, sentMessage } from '../support/consent-world';

let api: TestApi;
let workspace: TestWorkspace;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'suppressions', temporal: 'absent' });
  workspace = await consentWorkspace(api);
});
afterAll(() => api.close());

const call = (method: string, path: string, body?: unknown) =>
  api.request(method, `/workspaces/${workspace.id}${path}`, { token: workspace.tokens.owner, body });
const upload = (rawBody: string, type = 'text/csv') =>
  api.request('post', `/workspaces/${workspace.id}/suppressions/upload`, {
    token: workspace.tokens.owner,
    query: { note: 'old system' },
    rawBody,
    headers: { 'content-type': type },
  });
const check = async (address: string) =>
  (await call('post', '/suppressions/check', { address })).body.items.map((row: { reason: string }) => row.reason);

async function contact(email: string, status = 'ACTIVE'): Promise<string> {
  const made = await one<{ id: string }>(
    api.db,
    sql`INSERT INTO contacts (workspace_id, email, email_hash, status)
        VALUES (${workspace.id}, ${email}, ${api.deps.addressHasher.hash(email)}, ${status}) RETURNING id`,
  );
  return made?.id ?? '';
}
const statusOf = async (id: string) =>
  (await one<{ status: string }>(api.db, sql`SELECT status FROM contacts WHERE id = ${id}`))?.status;

describe('a list', () => {
  test('of addresses and domains is suppressed, line by line, and again changes nothing', async () => {
    const list = [
      '\uFEFFEmail;reason',
      'Ada@Example.ORG;bounced',
      '"grace@example.org","2024, spring"',
      '',
      '@blocked.example',
      'also-blocked.example',
      'ada@example.org',
      'no address',
      'two@@example.org',
    ].join('\r\n');
    const first = await upload(list);
    expect(first.status).toBe(200);
    expect(first.body).toEqual({
      lines: 7,
      added: 4,
      already_suppressed: 0,
      rejected: 2,
      rejections: [
        { line: 8, detail: expect.any(String) },
        { line: 9, detail: expect.any(String) },
      ],
    });
    expect((await upload(list)).body).toMatchObject({ added: 0, already_suppressed: 4 });
    expect(await check('ADA@example.org')).toEqual(['MANUAL']);
    expect(await check('anybody@blocked.example')).toEqual(['MANUAL']);
    expect(await check('anybody@sub.blocked.example')).toEqual([]);
    const stored = JSON.stringify(
      await many(api.db, sql`SELECT s::text FROM suppressions s UNION ALL SELECT a::text FROM audit_log a`),
    );
    expect(stored).not.toContain('ada@example.org');
  });

  test('of many thousands goes in batches', async () => {
    const list = Array.from({ length: 12_001 }, (_, index) => `person${index}@many.example`).join('\n');
    expect((await upload(list, 'text/plain')).body).toMatchObject({ lines: 12_001, added: 12_001, rejected: 0 });
    const audit = await many<{ new_values: { count: number } }>(
      api.db,
      sql`SELECT new_values FROM audit_log WHERE workspace_id = ${workspace.id} AND action = 'suppression.upload' ORDER BY id DESC LIMIT 3`,
    );
    expect(audit.map((row) => row.new_values.count)).toEqual([2_001, 5_000, 5_000]);
  });

  test('that is empty, too large or of another type is refused', async () => {
    expect((await upload('email\n\n')).status).toBe(422);
    expect((await upload('x', 'application/json')).status).toBe(415);
    expect((await upload('x'.repeat(16 * 1024 * 1024 + 1))).status).toBe(413);
  });

  test('is searched by domain and source', async () => {
    await upload('one@search.example\n@search.example\nother@else.example\n');
    await call('post', '/suppressions', { addresses: ['two@search.example'] });
    const found = async (query: string) =>
      (await call('get', `/suppressions?${query}`)).body.items.map((row: { hint: string }) => row.hint);
    expect(await found('at_domain=Search.Example')).toEqual([
      't…@search.example',
      'search.example',
      'o…@search.example',
    ]);
    expect(await found('at_domain=search.example&source=IMPORT')).toEqual(['search.example', 'o…@search.example']);
    expect(await found('domain=search.example')).toEqual(['search.example']);
  });
});

describe('removal', () => {
  async function suppressed(email: string, reason: string): Promise<string> {
    const made = await one<{ id: string }>(
      api.db,
      sql`INSERT INTO suppressions (workspace_id, address_hash, hint, reason, source, evidence)
          VALUES (${workspace.id}, ${api.deps.addressHasher.hash(email)}, 'x…@people.example', ${reason}, 'DELIVERY', '{"smtp_code": 550}')
          RETURNING id`,
    );
    return made?.id ?? '';
  }

  test.each([
    ['BOUNCE', 'BOUNCED', 'ACTIVE'],
    ['COMPLAINT', 'COMPLAINED', 'UNSUBSCRIBED'],
    ['MANUAL', 'BOUNCED', 'BOUNCED'],
    ['BOUNCE', 'UNSUBSCRIBED', 'UNSUBSCRIBED'],
  ])('of a %s: a contact that is %s becomes %s', async (reason, before, after) => {
    const email = `${crypto.randomUUID()}@people.example`;
    const id = await contact(email, before);
    const suppression = await suppressed(email, reason);
    const removed = await call('post', `/suppressions/${suppression}/remove`, {
      reason: 'OWNER_REQUEST',
      evidence: 'Called us, ticket 4711',
    });
    expect(removed.status).toBe(200);
    expect(removed.body).toMatchObject({
      suppression_id: suppression,
      suppressed_reason: reason,
      reason: 'OWNER_REQUEST',
      evidence: 'Called us, ticket 4711',
      removed_by: workspace.people.owner.id,
    });
    expect(await check(email)).toEqual([]);
    expect(await statusOf(id)).toBe(after);
    expect((await call('get', '/suppression-removals')).body.items[0]).toEqual(removed.body);
    expect(
      (await call('post', `/suppressions/${suppression}/remove`, { reason: 'MISTAKE', evidence: 'x' })).status,
    ).toBe(404);
  });

  test('needs a reason and evidence', async () => {
    const suppression = await suppressed(`${crypto.randomUUID()}@people.example`, 'BOUNCE');
    for (const body of [
      {},
      { reason: 'MISTAKE' },
      { reason: 'MISTAKE', evidence: '' },
      { reason: 'BORED', evidence: 'x' },
    ]) {
      expect((await call('post', `/suppressions/${suppression}/remove`, body)).status).toBe(422);
    }
    expect((await call('delete', `/suppressions/${suppression}`)).status).toBe(404);
  });
});

describe('soft bounces', () => {
  async function person() {
    const email = `${crypto.randomUUID()}@people.example`;
    const id = await contact(email);
    const bounce = (deliveryId = uuidv7()) =>
      noteSoftBounce(api.db, {
        workspaceId: workspace.id,
        sourceId: uuidv7(),
        deliveryId,
        contactId: id,
        addressHash: api.deps.addressHasher.hash(email),
        hint: '…@people.example',
        providerId: uuidv7(),
        routeId: uuidv7(),
        smtpCode: 452,
        enhancedCode: '4.2.2',
      });
    return { email, id, bounce };
  }
  const policy = (soft_bounces: number, within_days: number) =>
    call('put', '/bounce-policy', { soft_bounces, within_days });

  test('suppress after as many as the policy says, once per delivery, with their number as evidence', async () => {
    expect((await call('get', '/bounce-policy')).body).toEqual({ soft_bounces: 5, within_days: 30, version: 0 });
    expect((await policy(3, 14)).body.version).toBe(1);
    const { email, id, bounce } = await person();
    const delivery = uuidv7();
    await bounce(delivery);
    await bounce(delivery);
    await bounce();
    expect(await check(email)).toEqual([]);
    // At once: each counts those before it.
    await Promise.all([bounce(), bounce()]);
    expect(await check(email)).toEqual(['BOUNCE']);
    expect(await statusOf(id)).toBe('BOUNCED');
    const row = await one<{ evidence: Record<string, unknown> }>(
      api.db,
      sql`SELECT evidence FROM suppressions WHERE address_hash = ${api.deps.addressHasher.hash(email)}`,
    );
    expect(row?.evidence).toMatchObject({ soft_bounces: 3, within_days: 14, smtp_code: 452, enhanced_code: '4.2.2' });
    const leaving = await many<{ source: string }>(
      api.db,
      sql`SELECT source FROM unsubscribes WHERE contact_id = ${id}`,
    );
    expect(leaving).toEqual([{ source: 'BOUNCE' }]);
  });

  test('that are older than the policy’s days do not count, nor do those before a message that arrived', async () => {
    await policy(2, 7);
    const old = await person();
    await old.bounce();
    await api.db.query(sql`UPDATE soft_bounces SET occurred_at = sally_now() - interval '8 days'`);
    await old.bounce();
    expect(await check(old.email)).toEqual([]);

    const sent = await sentMessage(api, workspace.id);
    const arrived = await one<{ email: string; email_hash: Buffer }>(
      api.db,
      sql`SELECT email, email_hash FROM contacts WHERE id = ${sent.contactId}`,
    );
    const bounce = (): Promise<void> =>
      noteSoftBounce(api.db, {
        workspaceId: workspace.id,
        sourceId: uuidv7(),
        deliveryId: uuidv7(),
        contactId: sent.contactId,
        addressHash: arrived?.email_hash ?? Buffer.alloc(0),
        hint: '…',
        providerId: uuidv7(),
        routeId: uuidv7(),
        smtpCode: 452,
        enhancedCode: null,
      });
    await bounce();
    await api.db.query(sql`UPDATE deliveries SET sent_at = sally_now() WHERE id = ${sent.deliveryId}`);
    await bounce();
    expect(await check(arrived?.email ?? '')).toEqual([]);
  });

  test('never suppress where the policy says 0', async () => {
    await policy(0, 30);
    const { email, bounce } = await person();
    for (let count = 0; count < 8; count += 1) await bounce();
    expect(await check(email)).toEqual([]);
  });

  test('stay in their workspace', async () => {
    await policy(1, 30);
    const { email, bounce } = await person();
    await bounce();
    expect(await check(email)).toEqual(['BOUNCE']);
    const other = await consentWorkspace(api);
    const elsewhere = await api.request('post', `/workspaces/${other.id}/suppressions/check`, {
      token: other.tokens.owner,
      body: { address: email },
    });
    expect(elsewhere.body.items).toEqual([]);
  });
});

test('lifting a suppression looks contacts up by an index of the few whose address was refused', async () => {
  const plan = await api.db.transaction(async (tx) => {
    // Few rows would be read one by one.
    await tx.query('SET LOCAL enable_seqscan = off');
    const { rows } = await tx.query<{ 'QUERY PLAN': string }>(sql`
      EXPLAIN UPDATE contacts SET version = version + 1
      WHERE workspace_id = ${workspace.id} AND email_hash = ${api.deps.addressHasher.hash('x@people.example')}
        AND erased_at IS NULL AND ((status = 'BOUNCED' AND ${'BOUNCE'}::text = 'BOUNCE')
          OR (status = 'COMPLAINED' AND ${'BOUNCE'}::text = 'COMPLAINT'))`);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  });
  expect(plan).toMatch(/Index Scan using contacts_refused_address[\s\S]*Index Cond: .*email_hash = /);
});
