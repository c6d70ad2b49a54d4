import { ensureSystemTemplate } from '../../db/consent';
import { freezeTemplateMessage } from '../../db/content';
import { enqueueDelivery } from '../../db/delivery';
import { INVITATION_TEMPLATE, preferencesUrl } from '../../domain/consent';
import { laneWorkflow } from '../../domain/delivery/contract';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { ensureWorkflow } from '../../platform/temporal';
import type { TestApi } from '../support/api';
import type { CampaignWorld } from '../support/campaign-world';
import { field, parseMail } from '../support/mime-parser';
import { type SendingProduct, startSendingProduct } from '../support/product';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { until } from '../support/until';

const CONTENT = {
  subject: 'Hello {{ first_name }}',
  html: '<p>Hello</p><p><a href="{{ preferences_url }}">Preferences</a> <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>',
  text: 'Hello\nPreferences: {{ preferences_url }}\nUnsubscribe: {{ unsubscribe_url }}\n',
};
const CONTACTS = 120;

let product: SendingProduct;
let api: TestApi;
let world: CampaignWorld;
let call: SendingProduct['call'];
let relay: ScriptedSmtpServer;
/** Ends what the relay's script waits for. */
let goOn = () => {};

beforeAll(async () => {
  relay = await ScriptedSmtpServer.start();
  product = await startSendingProduct({
    name: 'consent sending',
    contacts: CONTACTS,
    role: 'owner',
    workerEnv: {
      SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
      // Few at a time, so that much of a campaign is still to come.
      DELIVERY_WINDOW: '2',
      SMTP_CONNECTIONS: '1',
    },
  });
  ({ api, world, call } = product);
});

afterAll(async () => {
  await product.close();
  await relay.stop();
});

afterEach(() => {
  relay.script = () => undefined;
  goOn();
});

/** Subject and all parts of a mail, decoded. */
function readMail(message: { raw: string } | undefined): string {
  const mail = parseMail(Buffer.from(message?.raw ?? '', 'latin1'));
  return [field(mail, 'subject'), ...mail.parts.map((part) => part.text)].join('\n').replaceAll('&#x2f;', '/');
}
const arrived = (address: string) => relay.accepted.filter((message) => message.to === address);

describe('an unsubscribe in the middle of a running campaign', () => {
  test('is honoured from the next claim on, whichever way it came, and the rest arrives', async () => {
    // The relay takes some, and then nothing until all who leave have left: else a quick worker would send to them before.
    const left = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    relay.script = ({ step }) => (step === 'dot' && relay.accepted.length >= 5 ? { after: left } : undefined);
    const runId = await world.startCampaign(CONTENT);
    await until('some have arrived', () => relay.accepted.length >= 5);
    const waiting = () =>
      many<{ contact_id: string; email: string }>(
        api.db,
        sql`SELECT d.contact_id, c.email FROM deliveries d
            JOIN contacts c ON c.workspace_id = d.workspace_id AND c.id = d.contact_id
            WHERE d.source_id = ${runId} AND d.status = 'QUEUED' ORDER BY d.id DESC LIMIT 24`,
      );
    const leaving = await waiting();
    expect(leaving).toHaveLength(24);
    await Promise.all(
      leaving.map(async ({ contact_id: contactId }, index) => {
        const url = preferencesUrl(api.deps.keyring, api.url, { workspaceId: world.workspaceId, contactId });
        const answer =
          index % 3 === 0
            ? await api.request('post', `${new URL(url).pathname}/unsubscribe`)
            : index % 3 === 1
              ? await call('post', `/contacts/${contactId}/unsubscribe`)
              : await call('put', `/contacts/${contactId}/consents/${world.purposeId}`, { status: 'denied' });
        expect(answer.status).toBe(200);
      }),
    );
    // A claim that was being made meanwhile may have read the state before.
    const now = await one<{ at: Date }>(world.db, sql`SELECT clock_timestamp() AS at`);
    const older = sql`SELECT 1 FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < ${now?.at}`;
    await until('such claims are over', async () => (await many(world.db, older)).length === 0);
    const still = new Set((await waiting()).map((row) => row.contact_id));
    const checked = leaving.filter((row) => still.has(row.contact_id));
    expect(checked.length).toBeGreaterThanOrEqual(12);
    relay.script = () => undefined;
    goOn();
    await world.untilSent(runId);

    expect(checked.filter(({ email }) => arrived(email).length > 0)).toEqual([]);
    const reasons = await many<{ status: string; reason: string }>(
      api.db,
      sql`SELECT DISTINCT status, reason FROM deliveries WHERE source_id = ${runId}
            AND contact_id = ANY (${checked.map((row) => row.contact_id)}::uuid[]) ORDER BY reason`,
    );
    expect(reasons).toEqual([
      { status: 'FAILED', reason: 'CONSENT_DENIED' },
      { status: 'FAILED', reason: 'UNSUBSCRIBED' },
    ]);
    const { byStatus } = await world.counts(runId);
    expect(relay.accepted).toHaveLength(byStatus.SENT ?? 0);
    expect((byStatus.SENT ?? 0) + (byStatus.FAILED ?? 0)).toBe(CONTACTS);
  });

  test('the links in the mail lead to the preference centre and to unsubscribing', async () => {
    const [message] = relay.accepted;
    const mail = readMail(message);
    const token = /\/preferences\/([\w-]{103})/.exec(mail)?.[1];
    expect(mail).toContain(`/u/${token}`);
    const shown = await api.request('get', `/preferences/${token}`);
    expect(shown.status).toBe(200);
    expect(shown.body.categories).toEqual([expect.objectContaining({ key: 'newsletter', subscribed: true })]);
    expect((await api.request('get', `/u/${token}`)).text).toContain(`href="/preferences/${token}"`);
    const contact = await one<{ id: string }>(api.db, sql`SELECT id FROM contacts WHERE email = ${message?.to}`);
    await api.request('post', `/preferences/${token}/unsubscribe`);
    const row = await one<{ status: string }>(api.db, sql`SELECT status FROM contacts WHERE id = ${contact?.id}`);
    expect(row?.status).toBe('UNSUBSCRIBED');
  });
});

test('subscribing again in the preference centre mails a confirmation, which reactivates', async () => {
  const contact = await one<{ id: string; email: string }>(
    api.db,
    sql`SELECT id, email FROM contacts WHERE workspace_id = ${world.workspaceId} AND status = 'UNSUBSCRIBED' LIMIT 1`,
  );
  const { id: contactId = '', email = '' } = contact ?? {};
  const before = arrived(email).length;
  const path = new URL(preferencesUrl(api.deps.keyring, api.url, { workspaceId: world.workspaceId, contactId }))
    .pathname;
  expect((await api.request('post', `${path}/resubscribe`)).status).toBe(202);
  await until('the confirmation has arrived', () => arrived(email).length > before);
  const mail = readMail(arrived(email).at(-1));
  const confirm = /\/confirm\/[\w.-]+/.exec(mail)?.[0] ?? '';
  expect((await api.request('post', confirm)).status).toBe(200);
  expect((await api.request('get', path)).body.status).toBe('ACTIVE');
});

test('an invitation is mailed with a link that makes a member, and no token is stored', async () => {
  const email = `${crypto.randomUUID()}@people.example`;
  const made = await call('post', '/invitations', { email, role: 'marketer' });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({ token: expect.any(String), delivery_id: expect.any(String) });
  await until('the invitation has arrived', () => arrived(email).length === 1);
  const mail = readMail(arrived(email)[0]);
  expect(mail).toContain('You are invited to World');
  expect(mail).toContain('The owner invites you');
  expect(mail).not.toContain(made.body.token);
  expect(arrived(email)[0]?.raw).not.toMatch(/^List-Unsubscribe/im);
  const path = /\/invitations\/[\w.-]+/.exec(mail)?.[0] ?? '';
  const stored = await one<{ row: string }>(
    api.db,
    sql`SELECT d::text AS row FROM deliveries d WHERE id = ${made.body.delivery_id}`,
  );
  expect(stored?.row).not.toContain(made.body.token);
  expect(stored?.row).not.toContain(path.slice('/invitations/'.length));

  const html = { accept: 'text/html' };
  const form = { ...html, 'content-type': 'application/x-www-form-urlencoded' };
  expect((await api.request('get', path, { headers: html })).text).toContain('autocomplete="new-password"');
  const short = await api.request('post', path, { headers: form, rawBody: 'name=Grace&password=short' });
  expect(short.status).toBe(422);
  const accepted = await api.request('post', path, { headers: form, rawBody: 'name=Grace&password=a+long+password' });
  expect([accepted.status, accepted.text.includes('Welcome')]).toEqual([200, true]);
  expect((await api.request('get', path, { headers: { ...html, 'accept-language': 'de' } })).text).toContain(
    'gilt nicht mehr',
  );
  const login = await api.request('post', '/auth/sessions', { body: { email, password: 'a long password' } });
  expect(login.status).toBe(201);
  const again = await api.request('post', '/auth/invitations/accept', {
    body: { token: made.body.token, name: 'Grace', password: 'a long password' },
  });
  expect(again.status).toBe(410);
});

/** A transactional message to a contact; returns the row's id. */
async function receipt(contactId: string, options: { maxAttempts?: number } = {}): Promise<string> {
  const { workspaceId } = world;
  const { deliveryId, laneId } = await api.db.transaction(async (tx) => {
    await ensureSystemTemplate(tx, workspaceId, INVITATION_TEMPLATE);
    const frozen = await freezeTemplateMessage(tx, { workspaceId, slug: INVITATION_TEMPLATE });
    const row = await enqueueDelivery(tx, {
      workspaceId,
      sourceType: 'TRANSACTIONAL',
      sourceId: uuidv7(),
      stepKey: 'send',
      contactId,
      address: null,
      recipientName: null,
      addressHash: null,
      emailDomain: 'gmail.com',
      messageId: frozen?.messageId ?? '',
      context: {},
      expiresAt: null,
    });
    await tx.query(sql`UPDATE deliveries SET max_attempts = ${options.maxAttempts ?? 4} WHERE id = ${row.deliveryId}`);
    return row;
  });
  await ensureWorkflow(api.deps.temporal, laneWorkflow({ workspaceId, laneId }));
  return deliveryId ?? '';
}

test('transactional mail: absent consent allows, denied blocks, and suppression stays in its workspace', async () => {
  await world.addContacts(3, 'customer');
  const customers = await many<{ id: string; email: string }>(
    api.db,
    sql`SELECT id, email FROM contacts WHERE workspace_id = ${world.workspaceId} AND email LIKE 'customer%' ORDER BY email`,
  );
  const purpose = await one<{ id: string }>(
    api.db,
    sql`SELECT id FROM purposes WHERE workspace_id = ${world.workspaceId} AND key = 'transactional'`,
  );
  const [absent, denied, left] = customers.map(({ id }) => id);
  await call('put', `/contacts/${denied}/consents/${purpose?.id}`, { status: 'denied' });
  await call('post', `/contacts/${left}/unsubscribe`);
  // What another workspace knows of the address does not count here.
  const elsewhere = await api.request('post', `/workspaces/${api.workspace.id}/suppressions`, {
    token: api.tokens.owner,
    body: { addresses: [customers[0]?.email], domains: [customers[0]?.email.split('@')[1]] },
  });
  expect(elsewhere.body.items).toHaveLength(2);
  const ids = await Promise.all([absent, denied, left].map((id) => receipt(id ?? '')));
  const rows = () =>
    many<{ status: string; reason: string | null }>(
      api.db,
      sql`SELECT status, reason FROM deliveries WHERE id = ANY (${ids}::uuid[]) ORDER BY array_position(${ids}::uuid[], id)`,
    );
  await until('all are settled', async () =>
    (await rows()).every(({ status }) => !['QUEUED', 'SENDING'].includes(status)),
  );
  expect(await rows()).toEqual([
    { status: 'SENT', reason: null },
    { status: 'FAILED', reason: 'CONSENT_DENIED' },
    { status: 'SENT', reason: null },
  ]);
  expect(customers.map(({ email }) => arrived(email).length)).toEqual([1, 0, 1]);
});

test('a mailbox that is full until the last try is a soft bounce, and the policy suppresses it', async () => {
  await call('put', '/bounce-policy', { soft_bounces: 1, within_days: 30 });
  await world.addContacts(1, 'full');
  const contact = await one<{ id: string; email: string }>(
    api.db,
    sql`SELECT id, email FROM contacts WHERE workspace_id = ${world.workspaceId} AND email LIKE 'full0@%'`,
  );
  relay.script = ({ step, line }) =>
    step === 'rcpt' && line.includes('full0@') ? '452 4.2.2 The mailbox is full' : undefined;
  await receipt(contact?.id ?? '', { maxAttempts: 1 });
  const suppressed = async () =>
    (await call('post', '/suppressions/check', { address: contact?.email })).body.items as { reason: string }[];
  await until('it is suppressed', async () => (await suppressed()).length > 0);
  expect(await suppressed()).toEqual([expect.objectContaining({ reason: 'BOUNCE', source: 'DELIVERY' })]);
  const left = await call('get', '/unsubscribes?source=BOUNCE');
  expect(left.body.items).toEqual([expect.objectContaining({ contact_id: contact?.id })]);
});
