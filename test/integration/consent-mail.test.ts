import { one, sql } from '../../platform/postgres';
import type { TestApi, TestWorkspace } from '../support/api';
import { consentWorkspace } from '../support/consent-world';
import { type Product, startProduct } from '../support/product';
import { ScriptedSmtpServer } from '../support/scripted-smtp-server';
import { sleep, until } from '../support/until';

/** The whole way: sign-up, doubleOptIn, sending lane, SMTP, the link in the mail, the confirming click. */
let product: Product;
let api: TestApi;
let workspace: TestWorkspace;
let smtp: ScriptedSmtpServer;

beforeAll(async () => {
  smtp = await ScriptedSmtpServer.start();
  product = await startProduct({
    name: 'consent mail',
    apiEnv: { PUBLIC_REQUESTS_PER_MINUTE: '1000' },
    workerEnv: { SMTP_URL: `smtp://127.0.0.1:${smtp.port}` },
  });
  ({ api } = product);
  workspace = await consentWorkspace(api);
});

afterAll(async () => {
  await product.close();
  await smtp.stop();
});

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
  await until(`mail ${number} has arrived`, () => mailsTo(email).length >= number);
  return mailsTo(email)[number - 1] ?? '';
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
});

test('sign-up after sign-up, at most three mails reach an address', async () => {
  const email = 'eager@visitors.example';
  for (let attempt = 0; attempt < 6; attempt += 1) {
    await signUp(email);
    await mail(email, Math.min(attempt + 1, 3));
    // Longer than what counts as the same click.
    await sleep(2_100);
  }
  expect(mailsTo(email)).toHaveLength(3);
});
