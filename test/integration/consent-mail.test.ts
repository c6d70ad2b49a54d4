import { one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { consentWorkspace } from '../support/consent-world';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { processEnvironment, spawnWorker, stopTestProcesses } from '../support/stack';

/** The whole way: sign-up, doubleOptIn, sending lane, SMTP, the link in the mail, the confirming click. */
let api: TestApi;
let workspace: TestWorkspace;
let smtp: ScriptedSmtpServer;

beforeAll(async () => {
  smtp = await ScriptedSmtpServer.start();
  api = await startTestApi({ databaseName: 'consent mail', env: { PUBLIC_REQUESTS_PER_MINUTE: '1000' } });
  workspace = await consentWorkspace(api);
  const { SALLY_SECRETS, SALLY_SUPPRESSION_KEY } = api.deps.config;
  const env = await processEnvironment({
    database: api.database,
    namespace: api.namespace,
    smtpUrl: `smtp://127.0.0.1:${smtp.port}`,
    secrets: { SALLY_SECRETS, SALLY_SUPPRESSION_KEY },
  });
  await spawnWorker({ role: 'all', env: { ...env, PUBLIC_URL: api.url, EMAIL_FROM: 'sally@mail.example' } });
}, 120_000);

afterAll(async () => {
  await stopTestProcesses();
  await api.close();
  await smtp.stop();
}, 60_000);

/** Mails to an address, with quoted-printable undone. */
const mailsTo = (email: string) =>
  smtp.accepted
    .filter((message) => message.to === email)
    .map(({ raw }) =>
      raw
        .replace(/=\r\n/g, '')
        .replace(/=([0-9A-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    );

async function mail(email: string, number: number): Promise<string> {
  const deadline = Date.now() + 30_000;
  while (mailsTo(email).length < number && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const found = mailsTo(email)[number - 1];
  if (found === undefined) throw new Error(`mail ${number} did not arrive`);
  return found;
}

const signUp = (email: string) =>
  api.request('post', `/public/${workspace.slug}/sign-up`, { body: { email, first_name: 'Buy pills at' } });

test('the link in the mail confirms', async () => {
  const email = 'reader@visitors.example';
  expect((await signUp(email)).status).toBe(202);
  const raw = await mail(email, 1);
  expect(raw).toContain('Auto-Submitted: auto-generated');
  expect(raw).not.toContain('Buy pills at');
  const links = new Set(raw.match(/http:\/\/[^\s"<>]*\/confirm\/[\w.-]+/g));
  expect(links.size).toBe(1);
  const link = new URL([...links][0] ?? '');
  expect(link.origin).toBe(api.url);

  expect((await api.request('get', link.pathname)).text).toContain('Yes, confirm');
  expect((await api.request('post', link.pathname)).status).toBe(200);
  const consent = await one<{ status: string; first_name: string }>(
    api.db,
    sql`SELECT k.status, c.first_name FROM contacts c JOIN consents k ON k.contact_id = c.id WHERE c.email = ${email}`,
  );
  expect(consent).toEqual({ status: 'granted', first_name: 'Buy pills at' });
}, 60_000);

test('sign-up after sign-up, at most three mails reach an address', async () => {
  const email = 'eager@visitors.example';
  for (let attempt = 0; attempt < 6; attempt += 1) {
    await signUp(email);
    await mail(email, Math.min(attempt + 1, 3));
    // Longer than what counts as the same click.
    await new Promise((resolve) => setTimeout(resolve, 2_100));
  }
  expect(mailsTo(email)).toHaveLength(3);
}, 120_000);
