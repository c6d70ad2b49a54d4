import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { invitationUrl, preferencesUrl } from '../../domain/consent';
import { one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { confirmToken, consentWorkspace, messageToken, requestsOf, sentMessage } from '../support/consent-world';
import { type BrowserPage, Chromium } from './chromium';

const WCAG_PROBLEMS = readFileSync(join(__dirname, 'wcag.js'), 'utf8');
/** axe-core's axe.min.js, where somebody has it: its rules are run as well. Not a dependency, for its licence is MPL. */
const AXE = process.env.SALLY_AXE ? readFileSync(process.env.SALLY_AXE, 'utf8') : null;
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
  api = await startTestApi({ databaseName: 'browser', temporal: 'absent' });
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

async function unsubscribeLink(): Promise<string> {
  const sent = await sentMessage(api, workspace.id);
  return `${api.url}/u/${messageToken(api, 'message-unsubscribe', sent)}`;
}

async function invitationLink(): Promise<string> {
  const made = await call('post', '/invitations', { email: `${crypto.randomUUID()}@people.example`, role: 'viewer' });
  const reference = { workspaceId: workspace.id, id: made.body.id };
  return invitationUrl(api.deps.keyring, api.url, reference, new Date(Date.now() + 60_000));
}

const PAGES: [string, () => Promise<string>][] = [
  ['the preference centre', () => contactLink()],
  ['the preference centre of who has left', () => contactLink('UNSUBSCRIBED')],
  ['the preference centre of an address that bounced', () => contactLink('BOUNCED')],
  ['the confirmation', confirmLink],
  ['unsubscribing', unsubscribeLink],
  ['an invitation', invitationLink],
  ['a link that does not work', async () => `${api.url}/u/nothing`],
];

const NAMED = new Set(['button', 'link', 'checkbox', 'radio', 'combobox', 'textbox', 'group', 'heading', 'main']);

describe.each(PAGES)('%s', (name, link) => {
  test.each([
    ['en', 'light', 1_000],
    ['de', 'dark', 320],
    ['fr', 'light', 320],
  ] as const)('in %s, %s, %d pixels wide', async (language, scheme, width) => {
    page.complaints.length = 0;
    await page.look(scheme, width);
    await page.open(await link(), language);
    expect(await page.evaluate('document.documentElement.lang')).toBe(language);
    expect(await page.evaluate(WCAG_PROBLEMS)).toEqual([]);
    if (AXE) {
      await page.evaluate(`${AXE};0`);
      expect(await page.evaluate(AXE_PROBLEMS)).toEqual([]);
    }
    const nameless = (await page.accessibilityTree()).filter(
      ({ role, name: label }) => NAMED.has(role) && role !== 'main' && label === '',
    );
    expect(nameless).toEqual([]);
    // A link that does not work is a 404, which Chromium notes.
    expect(page.complaints.filter((complaint) => !complaint.includes('status of 404'))).toEqual([]);
    if (process.env.SALLY_SCREENSHOTS) {
      const file = `${name.replaceAll(' ', '-')}-${language}-${scheme}-${width}.png`;
      await writeFile(`${process.env.SALLY_SCREENSHOTS}/${file}`, await page.screenshot());
    }
  });
});

test('the check finds what it is for', async () => {
  await page.look('light', 320);
  await page.open(await contactLink(), 'en');
  const spoil = [
    "document.documentElement.lang = ''",
    "document.querySelector('h1').style.color = '#999999'",
    "document.querySelector('select').parentElement.replaceWith(document.querySelector('select'))",
    "document.querySelector('button').style.cssText = 'padding:0;height:20px;outline:none'",
    "document.querySelector('legend').style.width = '500px'",
    "document.querySelector('h2').outerHTML = '<h4>Too deep</h4>'",
  ];
  for (const change of spoil) await page.evaluate(`${change};0`);
  const found = z.array(z.string()).parse(await page.evaluate(WCAG_PROBLEMS));
  const criteria = [...new Set(found.map((problem) => problem.split(':')[0]))].sort();
  expect(criteria).toEqual(['1.3.1', '1.4.10', '1.4.3', '2.4.7', '2.5.8', '3.1.1', '3.3.2', 'policy']);
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
