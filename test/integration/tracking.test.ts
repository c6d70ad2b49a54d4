import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clickSpoolDirectory } from '../../api/tracking';
import { compileContent } from '../../domain/content';
import { uuidv7 } from '../../platform/ids';
import { many, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { consentWorkspace, messageToken, type SentMessage, sentMessage } from '../support/consent-world';
import { readUntil } from '../support/until';

const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const URLS = ['https://example.com/a?b=c&d=%20e#f', 'https://example.com/größe', 'javascript:alert(1)'];
let api: TestApi;
let workspace: TestWorkspace;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sally-click-test-'));
  api = await startTestApi({
    databaseName: 'tracking',
    temporal: 'absent',
    env: { CLICK_SPOOL_DIRECTORY: directory },
  });
  workspace = await consentWorkspace(api);
});

afterAll(async () => {
  await api.close();
  await rm(directory, { recursive: true, force: true });
});

async function message(urls: readonly string[] = URLS): Promise<SentMessage & { click: string; pixel: string }> {
  const sent = await sentMessage(api, workspace.id, { urls });
  const token = messageToken(api, 'message-tracking', sent);
  return { ...sent, click: `/t/c/${token}`, pixel: `/t/p/${token}.gif` };
}

const engagements = (sent: SentMessage) =>
  many<{ kind: string; link_position: number | null; actor: string; workspace_id: string }>(
    api.db,
    sql`SELECT kind, link_position, actor, workspace_id FROM engagements WHERE delivery_id = ${sent.deliveryId} ORDER BY id`,
  );

/** Opens are recorded behind the answer. */
const eventually = <T>(read: () => Promise<T[]>, length: number) => readUntil(read, (rows) => rows.length >= length);

/**
 * What is there right after the answers. Where a busy machine's Postgres took longer than the recorder waits, the clicks
 * are on disk by then, and there is a spool.
 */
async function recordedAtOnce(sent: SentMessage, length: number) {
  const rows = await engagements(sent);
  const wasAway = rows.length < length && existsSync(clickSpoolDirectory(api.deps));
  return wasAway ? eventually(() => engagements(sent), length) : rows;
}

const get = (path: string, headers: Record<string, string> = { 'user-agent': BROWSER }) =>
  api.request('get', path, { headers });

describe('clicks', () => {
  test('redirect to the original URL, and are in Postgres before the answer', async () => {
    const sent = await message();
    const response = await get(`${sent.click}.0?utm_source=mail`);
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toBe(URLS[0]);
    expect(response.headers.get('cache-control')).toContain('no-store');
    expect(await recordedAtOnce(sent, 1)).toEqual([
      { kind: 'CLICK', link_position: 0, actor: 'human', workspace_id: workspace.id },
    ]);
  });

  test('a URL beyond ASCII is encoded; a scheme that is not of the web is not followed', async () => {
    const sent = await message();
    expect((await get(`${sent.click}.1`)).headers.get('location')).toBe('https://example.com/gr%C3%B6%C3%9Fe');
    expect((await get(`${sent.click}.2`)).status).toBe(404);
  });

  test('link numbers are those that the compiler of contents writes', async () => {
    const urls = Array.from({ length: 40 }, (_, index) => `https://example.com/${index}`);
    const html = `<html><body>${urls.map((url) => `<a href="${url}">x</a>`).join('')}</body></html>`;
    const compiled = compileContent(
      { subject: 'S', html, text: 'T', previewText: '' },
      { unsubscribeLink: false, trackOpens: false, trackClicks: true },
    );
    const numbers = [...compiled.html.matchAll(/_click_base[^}]*\}\}([^"]+)"/g)].map((match) => match[1]);
    const sent = await message(compiled.links);
    const targets = await Promise.all(
      numbers.map(async (number) => (await get(`${sent.click}.${number}`)).headers.get('location')),
    );
    expect(targets).toEqual(urls);
  });

  test('who clicked is judged: scanners, prefetching browsers and programs without a name', async () => {
    const sent = await message();
    await get(`${sent.click}.0`, { 'user-agent': 'Mozilla/5.0 (compatible; Googlebot/2.1)' });
    await get(`${sent.click}.0`, { 'user-agent': BROWSER, 'sec-purpose': 'prefetch' });
    await get(`${sent.click}.0`, { 'user-agent': 'Mozilla/5.0' });
    expect((await recordedAtOnce(sent, 3)).map((row) => row.actor)).toEqual(['machine', 'machine', 'unknown']);
  });

  test('HEAD redirects and records nothing; other methods do not exist', async () => {
    const sent = await message();
    expect((await api.request('head', `${sent.click}.0`)).headers.get('location')).toBe(URLS[0]);
    expect((await api.request('post', `${sent.click}.0`)).status).toBe(405);
    expect(await engagements(sent)).toEqual([]);
  });

  test('tokens that are cut, altered or made for unsubscribing, and links that are not there, are 404', async () => {
    const sent = await message();
    const token = sent.click.slice('/t/c/'.length);
    const paths = [
      `/t/c/${token}`,
      `${sent.click}.7`,
      `${sent.click}.00`,
      `${sent.click}.-1`,
      `/t/c/${token.slice(1)}.0`,
      `/t/c/A${token.slice(1)}.0`,
      `/t/c/${messageToken(api, 'message-unsubscribe', sent)}.0`,
      '/t/c/',
      '/t/elsewhere',
    ];
    for (const path of paths) expect([path, (await get(path)).status]).toEqual([path, 404]);
    expect(await engagements(sent)).toEqual([]);
  });

  test('many at once are all there', async () => {
    const sent = await message();
    const answers = await Promise.all(Array.from({ length: 300 }, (_, index) => get(`${sent.click}.${index % 2}`)));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([302]));
    expect(await recordedAtOnce(sent, 300)).toHaveLength(300);
  });
});

describe('opens', () => {
  test('answer a picture and are recorded in the background', async () => {
    const sent = await message();
    const response = await get(sent.pixel);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('image/gif');
    expect(response.text.startsWith('GIF89a')).toBe(true);
    expect(await eventually(() => engagements(sent), 1)).toEqual([
      { kind: 'OPEN', link_position: null, actor: 'human', workspace_id: workspace.id },
    ]);
  });

  test('an image proxy proves nothing about a person', async () => {
    const sent = await message();
    await get(sent.pixel, {
      'user-agent': 'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
    });
    expect((await eventually(() => engagements(sent), 1)).map((row) => row.actor)).toEqual(['unknown']);
  });

  test('a wrong token is a 404 with a picture, and is not recorded', async () => {
    const sent = await message();
    const response = await get(sent.pixel.replace('/t/p/', '/t/p/x'));
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toBe('image/gif');
    const unsubscribe = await get(`/t/p/${messageToken(api, 'message-unsubscribe', sent)}.gif`);
    expect(unsubscribe.status).toBe(404);
  });
});

test('a killed process leaves its spool to the next: cut lines are dropped, known rows are not doubled', async () => {
  const sent = await message();
  await get(`${sent.click}.0`);
  await recordedAtOnce(sent, 1);
  const [known] = await many<{ id: string; occurred_at: Date }>(
    api.db,
    sql`SELECT id, occurred_at FROM engagements WHERE delivery_id = ${sent.deliveryId}`,
  );
  const line = (id: string, occurredAt: Date) =>
    JSON.stringify({
      id,
      workspaceId: null,
      messageId: sent.messageId,
      sourceId: sent.sourceId,
      deliveryId: sent.deliveryId,
      kind: 'CLICK',
      linkPosition: 0,
      actor: 'human',
      occurredAt: occurredAt.toISOString(),
    });
  const lines = [
    line(known?.id ?? '', known?.occurred_at ?? new Date()),
    line(uuidv7(), new Date()),
    line(uuidv7(), new Date()).slice(0, 60),
  ];
  const spool = clickSpoolDirectory(api.deps);
  await mkdir(spool, { recursive: true });
  await writeFile(join(spool, `ready-${uuidv7()}.ndjson`), lines.join('\n'));
  await eventually(() => engagements(sent), 2);
  await eventually(async () => ((await readdir(spool)).length === 0 ? [1] : []), 1);
  expect(await engagements(sent)).toHaveLength(2);
});
