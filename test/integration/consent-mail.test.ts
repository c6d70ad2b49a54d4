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

test('mails speak the language of the sign-up, of the contact, of the browser, else of the workspace', async () => {
  /** The first mail to an address, as UTF-8. */
  const read = async (email: string) => Buffer.from(await mail(email, 1), 'latin1').toString('utf8');
  const signUpFrom = async (email: string, body: object, acceptLanguage?: string): Promise<string> => {
    const headers: Record<string, string> = acceptLanguage === undefined ? {} : { 'accept-language': acceptLanguage };
    const answer = await api.request('post', `/public/${workspace.slug}/sign-up`, {
      body: { email, ...body },
      headers,
    });
    expect(answer.status).toBe(202);
    return read(email);
  };
  expect(await signUpFrom('a@languages.example', { locale: 'de-AT' }, 'fr')).toContain('Abonnement bestätigen');
  expect(await signUpFrom('b@languages.example', {}, 'ja, fr;q=0.5')).toContain('Confirmer l’abonnement');
  const call = (method: string, path: string, body: object) =>
    api.request(method, `/workspaces/${workspace.id}${path}`, { token: workspace.tokens.owner, body });
  await call('post', '/contacts', { email: 'c@languages.example', locale: 'fr-CH' });
  expect(await signUpFrom('c@languages.example', {}, 'de')).toContain('Confirmer l’abonnement');
  const proof = await one<{ locale: string | null }>(
    api.db,
    sql`SELECT e.locale FROM consent_events e JOIN contacts c ON c.id = e.contact_id WHERE c.email = 'b@languages.example'`,
  );
  // What the browser asked for is no statement of the person.
  expect(proof).toEqual({ locale: null });

  await api.db.query(sql`UPDATE workspaces SET default_locale = 'de-CH' WHERE id = ${workspace.id}`);
  expect(await signUpFrom('d@languages.example', {})).toContain('Abonnement bestätigen');
  const made = await call('post', '/gates', {
    ...{ slug: 'guide', name: 'The guide', resource: { type: 'url', url: 'https://files.example/guide.pdf' } },
    policy: { conditions: [] },
  });
  expect(made.status).toBe(201);
  await api.request('post', `/public/${workspace.slug}/gates/guide`, {
    body: { email: 'e@languages.example' },
    headers: { 'accept-language': 'fr' },
  });
  expect(await read('e@languages.example')).toContain('a demandé que ce lien');
  await call('post', '/invitations', { email: 'f@languages.example', role: 'viewer' });
  expect(await read('f@languages.example')).toContain('Einladung annehmen');

  // Without a German template the plain one serves; without the plain one there is no mail in any language.
  await api.db.query(
    sql`UPDATE templates SET is_active = false WHERE workspace_id = ${workspace.id} AND slug = 'opt-in-confirmation-de'`,
  );
  expect(await signUpFrom('g@languages.example', { locale: 'de' })).toContain('Confirm your subscription');
});
