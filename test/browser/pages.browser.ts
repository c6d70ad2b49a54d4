import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { invitationUrl, preferencesUrl } from '../../domain/consent';
import { gateUrl } from '../../domain/gates';
import { one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { confirmToken, consentWorkspace, messageToken, requestsOf, sentMessage } from '../support/consent-world';
import { greyPng } from '../support/png';
import { type BrowserPage, Chromium } from './chromium';

const WCAG_PROBLEMS = readFileSync(join(__dirname, 'wcag.js'), 'utf8');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
/** Also what axe cannot decide by itself ("incomplete"): pages this plain leave nothing to doubt. */
const AXE_PROBLEMS = `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
  .then((found) => [...found.violations, ...found.incomplete].map((rule) => rule.id + ': ' + rule.nodes.map((node) => node.html).join(' ')))`;

/** The public pages in a real browser: npm run test:browser. */
let api: TestApi;
let workspace: TestWorkspace;
let browser: Chromium;
let page: BrowserPage;

const call = (method: string, path: string, body?: unknown) =>
  api.request(method, `/workspaces/${workspace.id}${path}`, { token: workspace.tokens.owner, body });

beforeAll(async () => {
  api = await startTestApi({
    databaseName: 'browser',
    temporal: 'absent',
    env: { PUBLIC_REQUESTS_PER_MINUTE: '10000' },
  });
  workspace = await consentWorkspace(api);
  const categories = [
    { key: 'product_updates', name: 'Product updates', description: 'New features and releases, with pictures.' },
    { key: 'community', name: 'Community', translations: { de: { name: 'Gemeinschaft' } } },
  ];
  for (const category of categories) await call('post', '/preference-categories', category);
  // A colour in which nothing could be read: the pages make it readable.
  await call('put', '/page-theme', {
    accent_color: '#ffee00',
    footer: 'Consent & Co, Main Street 1, 12345 Town',
    privacy_url: 'https://consent.example/privacy',
    imprint_url: 'https://consent.example/imprint',
  });
  // Wider than a phone.
  await call('put', '/page-theme/logo', { alt: 'Consent & Co', png: greyPng(600, 120).toString('base64') });
  browser = await Chromium.start();
  page = await browser.newPage();
}, 120_000);

afterAll(async () => {
  await browser.close();
  await api.close();
});

async function contactLink(status = 'ACTIVE'): Promise<string> {
  const email = `${crypto.randomUUID()}@people.example`;
  const made = await one<{ id: string }>(
    api.db,
    sql`INSERT INTO contacts (workspace_id, email, email_hash, status)
        VALUES (${workspace.id}, ${email}, ${api.deps.addressHasher.hash(email)}, ${status}) RETURNING id`,
  );
  return preferencesUrl(api.deps.keyring, api.url, { workspaceId: workspace.id, contactId: made?.id ?? '' });
}

async function confirmLink(): Promise<string> {
  const email = `${crypto.randomUUID()}@visitors.example`;
  await api.request('post', `/public/${workspace.slug}/sign-up`, { body: { email } });
  const [request] = await requestsOf(api, workspace.id, email);
  return `${api.url}/confirm/${await confirmToken(api, workspace.id, request?.id ?? '')}`;
}

async function expiredConfirmLink(): Promise<string> {
  const link = await confirmLink();
  await api.db.query(sql`UPDATE opt_in_requests SET expires_at = sally_now() - interval '1 second', status = 'EXPIRED'
    WHERE workspace_id = ${workspace.id} AND status = 'OPEN'`);
  return link;
}

async function unsubscribeLink(): Promise<string> {
  const sent = await sentMessage(api, workspace.id);
  return `${api.url}/u/${messageToken(api, 'message-unsubscribe', sent)}`;
}

async function invitationLink(): Promise<string> {
  const made = await call('post', '/invitations', { email: `${crypto.randomUUID()}@people.example`, role: 'viewer' });
  const reference = { workspaceId: workspace.id, id: made.body.id };
  return invitationUrl(api.deps.keyring, api.url, reference, new Date(Date.now() + 600_000));
}

async function newsletter(): Promise<string> {
  const purpose = await one<{ id: string }>(
    api.db,
    sql`SELECT id FROM purposes WHERE workspace_id = ${workspace.id} AND key = 'newsletter'`,
  );
  return purpose?.id ?? '';
}

/** The link of a gate for a new visitor; `expired`: its time is over. */
async function gateLink(expired: boolean, policy: object = { conditions: [] }): Promise<string> {
  const slug = `gate-${crypto.randomUUID()}`;
  const resource = { type: 'url', url: 'https://files.example/guide.pdf' };
  const made = await call('post', '/gates', {
    ...{ slug, name: 'The guide', resource, policy },
    opt_in_purpose_id: await newsletter(),
  });
  const email = `${crypto.randomUUID()}@visitors.example`;
  await api.request('post', `/public/${workspace.slug}/gates/${slug}`, { body: { email, opt_in: true } });
  const grant = await one<{ id: string; expires_at: Date }>(
    api.db,
    sql`UPDATE gate_grants SET expires_at = CASE WHEN ${expired} THEN sally_now() - interval '1 second' ELSE expires_at END
        WHERE workspace_id = ${workspace.id} AND gate_id = ${made.body.id} RETURNING id, expires_at`,
  );
  if (!grant) throw new Error('nothing was granted');
  const validUntil = new Date(Date.now() + 600_000);
  return gateUrl(api.deps.keyring, api.url, { workspaceId: workspace.id, grantId: grant.id }, validUntil);
}

/** A page with the form on it that leads to the page meant: its button is pressed. */
interface PublicPage {
  link(): Promise<string>;
  submit?: { form: string; fill?: string; leadsTo: string };
}

const PAGES: Record<string, PublicPage> = {
  'the preference centre': { link: () => contactLink() },
  'the preference centre, saved': {
    link: () => contactLink(),
    submit: { form: 'form[action$="/save"]', leadsTo: '/save' },
  },
  'the preference centre, left by its button': {
    link: () => contactLink(),
    submit: { form: 'form[action$="/unsubscribe"]', leadsTo: '/unsubscribe' },
  },
  'the preference centre of who has left': { link: () => contactLink('UNSUBSCRIBED') },
  'coming back': {
    link: () => contactLink('UNSUBSCRIBED'),
    submit: { form: 'form[action$="/resubscribe"]', leadsTo: '/resubscribe' },
  },
  'the preference centre of an address that bounced': { link: () => contactLink('BOUNCED') },
  'the confirmation': { link: confirmLink },
  'the confirmation, pressed': { link: confirmLink, submit: { form: 'form', leadsTo: '/confirm/' } },
  'a confirmation whose time is over': { link: expiredConfirmLink },
  'a confirmation renewed': { link: expiredConfirmLink, submit: { form: 'form', leadsTo: '/renew' } },
  unsubscribing: { link: unsubscribeLink },
  unsubscribed: { link: unsubscribeLink, submit: { form: 'form', leadsTo: '/u/' } },
  'an invitation': { link: invitationLink },
  'an invitation, refused': {
    link: invitationLink,
    submit: {
      form: 'form',
      fill: "document.querySelector('form').noValidate=true;document.querySelector('[name=name]').value='Ada'",
      leadsTo: '/invitations/',
    },
  },
  'a gate whose link is over': { link: () => gateLink(true) },
  'a gate that waits for a confirmation': {
    link: async () => gateLink(false, { conditions: [{ type: 'consent', purpose_id: await newsletter() }] }),
  },
  'a link that does not work': { link: async () => `${api.url}/u/nothing` },
};

const NAMED = new Set([
  'button',
  'link',
  'checkbox',
  'radio',
  'combobox',
  'textbox',
  'group',
  'heading',
  'main',
  'image',
]);

describe.each(Object.entries(PAGES))('%s', (name, { link, submit }) => {
  test.each([
    ['en', 'light', 1_000, 1],
    ['de', 'dark', 320, 1],
    ['fr', 'light', 320, 1],
    ['de', 'light', 1_000, 2],
  ] as const)('in %s, %s, %d pixels wide, zoomed %d times', async (language, scheme, width, zoom) => {
    page.complaints.length = 0;
    await page.look(scheme, width, zoom);
    // Everything a visitor needs works without script; axe, which looks at the result, is one.
    await page.scripts(false);
    await page.open(await link(), language);
    if (submit) {
      // So that the document after the button can be told from the one before.
      await page.evaluate("document.documentElement.classList.add('before');0");
      if (submit.fill) await page.evaluate(`${submit.fill};0`);
      await page.evaluate(`document.querySelector('${submit.form} button').click();0`);
      await page.loaded(submit.leadsTo, "document.documentElement.classList.contains('before')");
    }
    await page.scripts(true);
    expect(await page.evaluate('document.documentElement.lang')).toBe(language);
    expect(await page.evaluate(WCAG_PROBLEMS)).toEqual([]);
    await page.evaluate(`${AXE};0`);
    expect(await page.evaluate(AXE_PROBLEMS)).toEqual([]);
    const nameless = (await page.accessibilityTree()).filter(
      ({ role, name: label }) => NAMED.has(role) && role !== 'main' && label === '',
    );
    expect(nameless).toEqual([]);
    // Of an answer that is not a success Chromium notes the status.
    expect(page.complaints.filter((complaint) => !/status of (403|404|410|422)/.test(complaint))).toEqual([]);
    if (process.env.SALLY_SCREENSHOTS) {
      const file = `${name.replaceAll(/[^a-z]+/g, '-')}-${language}-${scheme}-${width}-${zoom}.png`;
      await writeFile(join(process.env.SALLY_SCREENSHOTS, file), await page.screenshot());
    }
  });
});

test.each([
  ['en', 'The password must have 12'],
  ['de', 'Das Passwort muss 12'],
  ['fr', 'Le mot de passe doit avoir'],
])('in %s an invitation says in its language what was wrong', async (language, text) => {
  await page.look('light', 1_000);
  await page.open(await invitationLink(), language);
  const fill =
    "const f=document.querySelector('form');f.noValidate=true;f.elements.name.value='Ada';f.elements.password.value='short'";
  await page.evaluate(`{document.documentElement.id='before';${fill};f.querySelector('button').click()};0`);
  await page.loaded('/invitations/', "document.documentElement.id === 'before'");
  expect(await page.evaluate("document.querySelector('[role=alert]').textContent")).toContain(text);
});

test.each([1_000, 320])('the logo is loaded and fits, with its text, on a page %d pixels wide', async (width) => {
  page.complaints.length = 0;
  await page.look('dark', width);
  await page.open(await contactLink(), 'en');
  const shown = z.object({
    alt: z.string(),
    whole: z.boolean(),
    natural: z.number(),
    width: z.number(),
    height: z.number(),
  });
  const read = `(() => {
    const image = document.querySelector('.logo img');
    const { width, height } = image.getBoundingClientRect();
    return { alt: image.alt, whole: image.complete, natural: image.naturalWidth, width, height };
  })()`;
  const logo = shown.parse(await page.evaluate(read));
  expect(logo).toMatchObject({ alt: 'Consent & Co', whole: true, natural: 600 });
  expect(logo.width).toBeLessThanOrEqual(width);
  expect(logo.height).toBeLessThanOrEqual(96);
  expect((await page.accessibilityTree()).filter(({ role }) => role === 'image')).toEqual([
    expect.objectContaining({ name: 'Consent & Co' }),
  ]);
  expect(page.complaints).toEqual([]);
});

test('the checks find what they are for', async () => {
  await page.look('light', 320);
  await page.open(await contactLink(), 'en');
  const spoil = [
    "document.documentElement.lang = ''",
    "document.querySelector('h1').style.color = '#999999'",
    "document.querySelector('select').parentElement.replaceWith(document.querySelector('select'))",
    "document.querySelector('button').style.cssText = 'outline:none'",
    "document.querySelector('select').style.borderColor = '#eeeeee'",
    "document.querySelector('legend').style.width = '500px'",
    "document.querySelector('img').removeAttribute('alt')",
    "document.querySelector('h2').outerHTML = '<h4>Too deep</h4>'",
  ];
  for (const change of spoil) await page.evaluate(`${change};0`);
  const found = z.array(z.string()).parse(await page.evaluate(WCAG_PROBLEMS));
  const criteria = [...new Set(found.map((problem) => problem.split(':')[0]))].sort();
  expect(criteria).toEqual(['1.4.10', '1.4.11', '2.4.7', 'policy']);
  await page.evaluate(`${AXE};0`);
  const rules = z.array(z.string()).parse(await page.evaluate(AXE_PROBLEMS));
  expect(rules.map((problem) => problem.split(':')[0])).toEqual(
    expect.arrayContaining(['html-has-lang', 'color-contrast', 'select-name', 'heading-order', 'image-alt']),
  );
});

test('the preference centre works without script, by keyboard alone', async () => {
  await page.look('light', 1_000);
  await page.scripts(false);
  const url = await contactLink();
  await page.open(url, 'en');
  // Newsletter off, then three categories' controls until the button.
  await page.press('Tab');
  await page.press(' ');
  for (let step = 0; step < 6; step += 1) await page.press('Tab');
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Save my choice');
  await page.press('Enter');
  await page.loaded('/save');
  expect(await page.evaluate('document.querySelector("[role=status]").textContent')).toContain('Your choice is saved');
  const path = new URL(url).pathname;
  const { categories } = (await api.request('get', path)).body;
  expect(categories.map((row: { subscribed: boolean }) => row.subscribed)).toEqual([false, true, true]);
  await page.scripts(true);
});
