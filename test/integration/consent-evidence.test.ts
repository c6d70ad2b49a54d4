import fc from 'fast-check';
import { listConsents, listConsentsAsOf, recordConsent } from '../../db/consent';
import { grantImportedConsent } from '../../db/contacts';
import { uuidv7 } from '../../platform/ids';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestWorkspace } from '../support/api';
import { confirmToken, consentWorkspace, requestsOf } from '../support/consent-world';
import { greyPng } from '../support/png';

let api: TestApi;
let workspace: TestWorkspace;
let newsletter: string;
let service: string;

beforeAll(async () => {
  api = await startTestApi({ databaseName: 'consent-evidence', temporal: 'absent' });
  workspace = await consentWorkspace(api);
  const purposes = await many<{ id: string; key: string }>(
    api.db,
    sql`SELECT id, key FROM purposes WHERE workspace_id = ${workspace.id}`,
  );
  newsletter = purposes.find(({ key }) => key === 'newsletter')?.id ?? '';
  service = purposes.find(({ key }) => key === 'transactional')?.id ?? '';
});
afterAll(() => api.close());

async function contact(): Promise<{ id: string; email: string }> {
  const email = `${crypto.randomUUID()}@people.example`;
  const made = await one<{ id: string }>(
    api.db,
    sql`INSERT INTO contacts (workspace_id, email, email_hash)
        VALUES (${workspace.id}, ${email}, ${api.deps.addressHasher.hash(email)}) RETURNING id`,
  );
  return { id: made?.id ?? '', email };
}

const call = (method: string, path: string, body?: unknown) =>
  api.request(method, `/workspaces/${workspace.id}${path}`, { token: workspace.tokens.owner, body });

const moment = async () => (await one<{ now: Date }>(api.db, sql`SELECT sally_now() AS now`))?.now ?? new Date(0);
const withoutIds = (rows: Awaited<ReturnType<typeof listConsents>>) =>
  rows.map(({ purpose_key, channel, status, granted_at, revoked_at, source, updated_at }) => ({
    purpose_key,
    channel,
    status,
    granted_at,
    revoked_at,
    source,
    updated_at,
  }));

describe('as of a moment', () => {
  test('for the present it says what the current state says, after any history', async () => {
    const statement = fc.record({
      purpose: fc.constantFrom('newsletter', 'service'),
      channel: fc.constantFrom('email' as const, 'sms' as const),
      status: fc.constantFrom('granted' as const, 'denied' as const, 'pending' as const),
      source: fc.constantFrom('api' as const, 'manual' as const, 'unsubscribe' as const),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(statement, { minLength: 1, maxLength: 12 }), async (history) => {
        const { id } = await contact();
        const states: { at: Date; held: ReturnType<typeof withoutIds> }[] = [];
        for (const { purpose, channel, status, source } of history) {
          await api.db.transaction((tx) =>
            recordConsent(tx, {
              workspaceId: workspace.id,
              contactId: id,
              purposeId: purpose === 'service' ? service : newsletter,
              channel,
              status,
              source,
              wordingVersion: 1,
            }),
          );
          // A Date has milliseconds, the proof microseconds.
          states.push({
            at: new Date((await moment()).getTime() + 1),
            held: withoutIds(await listConsents(api.db, workspace.id, id)),
          });
          await new Promise((resolve) => setTimeout(resolve, 3));
        }
        for (const { at, held } of states) {
          expect(withoutIds(await listConsentsAsOf(api.db, workspace.id, id, at))).toEqual(held);
        }
      }),
      { numRuns: 25 },
    );
  });

  test('after a merge it says what holds, whatever both had said', async () => {
    const states = [[], ['granted'], ['denied'], ['pending'], ['pending', 'granted'], ['granted', 'denied']] as const;
    const wrong: unknown[] = [];
    for (const ofSurvivor of states) {
      for (const ofOther of states) {
        const [survivor, other] = [await contact(), await contact()];
        for (const [{ id }, history] of [
          [survivor, ofSurvivor],
          [other, ofOther],
        ] as const) {
          for (const status of history) {
            await recordConsent(api.db, {
              workspaceId: workspace.id,
              contactId: id,
              purposeId: newsletter,
              status,
              source: status === 'pending' ? 'sign_up' : 'api',
              wordingVersion: 1,
            });
          }
        }
        const merged = await call('post', `/contacts/${survivor.id}/merge`, { contact_id: other.id });
        if (merged.status >= 300) throw new Error(merged.text);
        const now = new Date((await moment()).getTime() + 1);
        const held = (await listConsents(api.db, workspace.id, survivor.id)).map(({ status }) => status);
        const said = (await listConsentsAsOf(api.db, workspace.id, survivor.id, now)).map(({ status }) => status);
        if (JSON.stringify(held) !== JSON.stringify(said)) wrong.push({ ofSurvivor, ofOther, held, said });
      }
    }
    expect(wrong).toEqual([]);
  });

  test('before a merge it says what held for this contact, not what the other one had said', async () => {
    for (const [own, others, merged] of [
      ['granted', 'pending', 'pending'],
      ['pending', 'granted', 'pending'],
      ['granted', 'denied', 'denied'],
      ['denied', 'granted', 'denied'],
    ] as const) {
      const [survivor, other] = [await contact(), await contact()];
      for (const [{ id }, status] of [
        [survivor, own],
        [other, others],
      ] as const) {
        const source = status === 'pending' ? 'sign_up' : 'api';
        await recordConsent(api.db, {
          ...{ workspaceId: workspace.id, contactId: id, purposeId: newsletter, status, source, wordingVersion: 1 },
        });
      }
      const before = new Date((await moment()).getTime() + 1);
      // The merge comes after the moment that is asked about.
      while ((await moment()) <= before) await new Promise((resolve) => setTimeout(resolve, 1));
      expect((await call('post', `/contacts/${survivor.id}/merge`, { contact_id: other.id })).status).toBe(200);
      const after = new Date((await moment()).getTime() + 1);
      const asOf = async (at: Date) =>
        (await listConsentsAsOf(api.db, workspace.id, survivor.id, at)).map(({ status }) => status);
      expect([own, others, await asOf(before), await asOf(after)]).toEqual([own, others, [own], [merged]]);
    }
  });

  test('by the API, per channel and purpose', async () => {
    const { id } = await contact();
    const before = await moment();
    await call('put', `/contacts/${id}/consents/${newsletter}`, { status: 'granted', channel: 'sms' });
    // A Date has milliseconds, the proof microseconds.
    const between = new Date((await moment()).getTime() + 1);
    while ((await moment()) <= between) await new Promise((resolve) => setTimeout(resolve, 1));
    await call('put', `/contacts/${id}/consents/${newsletter}`, { status: 'denied', channel: 'sms' });
    const asOf = async (at: Date) =>
      (await call('get', `/contacts/${id}/consents?as_of=${at.toISOString()}`)).body.items.map(
        (row: Record<string, unknown>) => [row.channel, row.status],
      );
    expect(await asOf(before)).toEqual([]);
    expect(await asOf(between)).toEqual([['sms', 'granted']]);
    expect((await call('get', `/contacts/${id}/consents`)).body.items).toEqual([
      expect.objectContaining({ channel: 'sms', status: 'denied' }),
    ]);
    expect((await call('get', `/contacts/${id}/consents?as_of=yesterday`)).status).toBe(422);
    expect(
      (await call('put', `/contacts/${id}/consents/${newsletter}`, { status: 'granted', channel: 'fax' })).status,
    ).toBe(422);
  });
});

describe('wordings in other languages', () => {
  test('are shown to their locale, named in the proof, and never changed', async () => {
    const purpose = (
      await call('post', '/purposes', { key: 'news_de', name: 'News', kind: 'marketing', wording: 'I agree.' })
    ).body.id;
    const { id } = await contact();
    const say = (locale: string) => call('put', `/contacts/${id}/consents/${purpose}`, { status: 'granted', locale });
    await say('de');
    const added = await call('post', `/purposes/${purpose}/wordings`, { locale: 'de', wording: 'Ich stimme zu.' });
    expect(added.status).toBe(201);
    expect(added.body.items).toEqual([
      expect.objectContaining({ wording: 'I agree.', translations: { de: 'Ich stimme zu.' } }),
    ]);
    await say('de-AT');
    await say('fr');
    const { items } = (await call('get', `/contacts/${id}/consent-events`)).body;
    expect(items.map((row: Record<string, unknown>) => [row.locale, row.wording])).toEqual([
      ['fr', 'I agree.'],
      ['de-AT', 'Ich stimme zu.'],
      // Said before the translation was there: it was not what this person saw.
      ['de', 'I agree.'],
    ]);
    expect((await call('post', `/purposes/${purpose}/wordings`, { locale: 'de', wording: 'Anders.' })).status).toBe(
      409,
    );
    expect(
      (await call('post', `/purposes/${purpose}/wordings`, { locale: 'fr', wording: 'x', wording_version: 2 })).status,
    ).toBe(422);
    await expect(
      api.deps.db.workspaceTransaction(workspace.id, (tx) =>
        tx.query(sql`UPDATE purpose_wording_translations SET wording = 'x'`),
      ),
    ).rejects.toMatchObject({ code: '42501' });
    await call('post', `/purposes/${purpose}/wordings`, { locale: 'fr', wording: 'J’accepte.' });
    const email = `${crypto.randomUUID()}@visitors.example`;
    await api.request('post', `/public/${workspace.slug}/sign-up`, {
      body: { email, purpose: 'news_de', locale: 'fr' },
    });
    const [request] = await requestsOf(api, workspace.id, email);
    const page = await api.request('get', `/confirm/${await confirmToken(api, workspace.id, request?.id ?? '')}`);
    expect(page.text).toContain('J’accepte.');
  });
});

describe('an import', () => {
  async function job(): Promise<string> {
    const upload = await one<{ id: string }>(
      api.db,
      sql`INSERT INTO uploads (workspace_id, filename, content_type, sha256, created_by)
          VALUES (${workspace.id}, 'fair 2026.csv', 'text/csv', ${'ab'.repeat(32)}, ${workspace.people.marketer.id}) RETURNING id`,
    );
    const input = {
      uploadId: upload?.id,
      consent: { purposeId: newsletter, purpose: 'newsletter', statement: 'Signed list of the fair, May 2026' },
    };
    const made = await one<{ id: string }>(
      api.db,
      sql`INSERT INTO jobs (workspace_id, kind, input, created_by)
          VALUES (${workspace.id}, 'importContacts', ${JSON.stringify(input)}, ${workspace.people.marketer.id}) RETURNING id`,
    );
    return made?.id ?? '';
  }

  const grant = async (jobId: string, rows: { contactId: string; row: number }[]) => {
    const now = (await moment()).toISOString();
    return api.db.transaction((tx) =>
      grantImportedConsent(tx, { workspaceId: workspace.id, jobId, purposeId: newsletter, now, rows }),
    );
  };

  test('states its basis in the proof, and never lifts a refusal, a revocation or an open question', async () => {
    const [fresh, refused, asked] = [await contact(), await contact(), await contact()];
    await call('put', `/contacts/${refused.id}/consents/${newsletter}`, { status: 'granted' });
    await call('put', `/contacts/${refused.id}/consents/${newsletter}`, { status: 'denied' });
    await api.request('post', `/public/${workspace.slug}/sign-up`, { body: { email: asked.email } });
    const jobId = await job();
    const rows = [fresh, refused, asked].map(({ id }, index) => ({ contactId: id, row: index + 2 }));
    expect(await grant(jobId, rows)).toBe(1);
    // The same batch again, and another file: the proof and its basis stay as they are.
    expect(await grant(jobId, rows)).toBe(0);
    expect(await grant(await job(), rows)).toBe(0);
    const statusOf = async (id: string) => (await call('get', `/contacts/${id}/consents`)).body.items[0].status;
    expect([await statusOf(fresh.id), await statusOf(refused.id), await statusOf(asked.id)]).toEqual([
      'granted',
      'denied',
      'pending',
    ]);
    const { statements } = (await call('get', `/contacts/${fresh.id}/consent-evidence`)).body;
    expect(statements).toEqual([
      expect.objectContaining({
        status: 'granted',
        source: 'import',
        import_row: 2,
        import_basis: {
          import_job_id: jobId,
          statement: 'Signed list of the fair, May 2026',
          file_name: 'fair 2026.csv',
          file_sha256: 'ab'.repeat(32),
          declared_by: workspace.people.marketer.id,
          declared_by_name: 'The marketer',
          declared_at: expect.any(String),
        },
      }),
    ]);
  });
});

describe('the evidence pack', () => {
  test('tells of the double opt-in with its mails, of who recorded what, and of a merged contact', async () => {
    const email = `${crypto.randomUUID()}@visitors.example`;
    await api.request('post', `/public/${workspace.slug}/sign-up`, {
      body: { email, first_name: '<Ada>' },
      headers: { 'user-agent': 'Browser/1 "x"' },
    });
    const [request] = await requestsOf(api, workspace.id, email);
    const { id: requestId = '', contact_id: contactId = '' } = request ?? {};
    const token = await confirmToken(api, workspace.id, requestId);
    expect((await api.request('post', `/confirm/${token}`)).status).toBe(200);
    const gone = await contact();
    await call('put', `/contacts/${gone.id}/consents/${newsletter}`, { status: 'granted', source: 'manual' });
    await api.db.query(
      sql`UPDATE contacts SET erased_at = sally_now(), merged_into = ${contactId} WHERE id = ${gone.id}`,
    );

    const { body: pack, status } = await call('get', `/contacts/${contactId}/consent-evidence`);
    expect(status).toBe(200);
    expect(pack.contact).toMatchObject({ id: contactId, email, status: 'ACTIVE' });
    expect(pack.statements.map((said: Record<string, unknown>) => [said.status, said.source])).toEqual([
      ['pending', 'sign_up'],
      ['granted', 'double_opt_in'],
      ['granted', 'manual'],
    ]);
    expect(pack.statements[1]).toMatchObject({
      wording: expect.stringContaining('newsletter'),
      opt_in: { id: requestId, status: 'CONFIRMED', confirmed_at: expect.any(String), mails: [] },
    });
    expect(pack.statements[0].user_agent).toBe('Browser/1 "x"');
    expect(pack.statements[2].actor_name).toBe('The owner');
    expect(pack.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect((await call('get', `/contacts/${contactId}/consent-evidence`)).body.sha256).toBe(pack.sha256);

    const printed = await call('get', `/contacts/${contactId}/consent-evidence.html`);
    expect(printed.headers.get('content-type')).toContain('text/html');
    expect(printed.text).toContain(pack.sha256);
    expect(printed.text).toContain('&#60;Ada&#62;');
    expect(printed.text).not.toMatch(/<Ada>|<script|\sstyle=/);
  });

  test('is there for nobody else, nobody erased and nobody unknown', async () => {
    const { id } = await contact();
    const other = await consentWorkspace(api);
    const foreign = await api.request('get', `/workspaces/${other.id}/contacts/${id}/consent-evidence`, {
      token: other.tokens.owner,
    });
    expect(foreign.status).toBe(404);
    await api.db.query(sql`UPDATE contacts SET erased_at = sally_now() WHERE id = ${id}`);
    expect((await call('get', `/contacts/${id}/consent-evidence`)).status).toBe(404);
    expect((await call('get', `/contacts/${uuidv7()}/consent-evidence.html`)).status).toBe(404);
  });
});

describe('preferences and leavings by the API', () => {
  test('are noted with source API, and a reader gets no link to change them', async () => {
    const { id } = await contact();
    const changed = await call('patch', `/contacts/${id}/preferences`, {
      categories: [{ key: 'newsletter', subscribed: false, frequency: 'WEEKLY' }],
    });
    expect(changed.body.categories[0]).toMatchObject({ key: 'newsletter', subscribed: false, frequency: 'WEEKLY' });
    expect(changed.body.preferences_url).toMatch(/\/preferences\/[\w-]+\.[\w-]+\.[\w-]+$/);
    const opened = await api.request('get', new URL(changed.body.preferences_url).pathname);
    expect(opened.body.categories[0]).toMatchObject({ subscribed: false });
    const reader = await api.request('get', `/workspaces/${workspace.id}/contacts/${id}/preferences`, {
      token: workspace.tokens.viewer,
    });
    expect(reader.body.preferences_url).toBeNull();
    expect(
      (await call('patch', `/contacts/${id}/preferences`, { categories: [{ key: 'no', subscribed: true }] })).status,
    ).toBe(422);
    expect((await call('post', `/contacts/${id}/unsubscribe`)).body.status).toBe('UNSUBSCRIBED');
    expect((await call('post', `/contacts/${id}/unsubscribe`)).status).toBe(200);
    const { items } = (await call('get', '/unsubscribes?source=API')).body;
    expect(items.map((row: Record<string, unknown>) => [row.contact_id, row.scope])).toEqual([
      [id, 'ALL'],
      [id, 'CATEGORY'],
    ]);
  });

  test('a theme shows on the pages, with readable colours', async () => {
    const { id } = await contact();
    const url = (await call('get', `/contacts/${id}/preferences`)).body.preferences_url;
    const stored = await call('put', '/page-theme', {
      accent_color: '#FFEE00',
      corners: 'SQUARE',
      footer: 'Consent & Co <1>',
      privacy_url: 'https://consent.example/privacy',
    });
    expect(stored.body).toMatchObject({ accent_color: '#ffee00', version: 1 });
    const page = await api.request('get', new URL(url).pathname, { headers: { accept: 'text/html' } });
    expect(page.text).toContain('/pages/theme/ffee00-square.css');
    expect(page.text).toContain('Consent &#38; Co &#60;1&#62;');
    expect(page.text).toContain('href="https://consent.example/privacy"');
    const css = await api.request('get', '/pages/theme/ffee00-square.css');
    expect(css.headers.get('content-type')).toContain('text/css');
    expect(css.text).not.toContain('#ffee00;--on-accent:#ffffff');
    expect((await api.request('get', '/pages/theme/nonsense.css')).status).toBe(404);
    for (const bad of [{ accent_color: 'red' }, { accent_color: '#ffffff', privacy_url: 'javascript:alert(1)' }]) {
      expect((await call('put', '/page-theme', bad)).status).toBe(422);
    }
  });

  test('a logo shows on the pages, with or without a theme, until it is removed', async () => {
    const { id } = await contact();
    const url = (await call('get', `/contacts/${id}/preferences`)).body.preferences_url;
    const html = async () =>
      (await api.request('get', new URL(url).pathname, { headers: { accept: 'text/html' } })).text;
    const png = greyPng(300, 80);
    const alt = 'Consent & Co "Ltd" <1>';
    const stored = await call('put', '/page-theme/logo', { alt, png: png.toString('base64') });
    const { logo } = stored.body;
    expect(logo).toMatchObject({ alt, width: 300, height: 80 });
    const { pathname } = new URL(logo.url);
    expect(pathname).toBe(`/public/${workspace.slug}/logo/${logo.sha256}.png`);
    expect(await html()).toContain(
      `<img src="${pathname}" alt="Consent &#38; Co &#34;Ltd&#34; &#60;1&#62;" width="300" height="80">`,
    );
    const shown = await fetch(logo.url.replace(new URL(logo.url).origin, api.url));
    expect(Buffer.from(await shown.arrayBuffer())).toEqual(png);
    expect(shown.headers.get('content-type')).toBe('image/png');
    expect(shown.headers.get('cache-control')).toContain('immutable');
    expect(shown.headers.get('x-content-type-options')).toBe('nosniff');
    // A theme changes nothing about it; what is no picture of ours is refused as a whole.
    expect((await call('put', '/page-theme', { accent_color: '#b91c1c' })).body.logo).toEqual(logo);
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>').toString('base64');
    for (const bad of [{ alt, png: svg }, { alt: ' ', png: png.toString('base64') }, { alt, png: 'ÿ' }, { alt }]) {
      expect((await call('put', '/page-theme/logo', bad)).status).toBe(422);
    }
    expect((await call('get', '/page-theme')).body.logo).toEqual(logo);
    // Neither another picture's name, nor another workspace's, gives this one.
    for (const path of [pathname.replace(/\w{64}/, '0'.repeat(64)), `/public/nobody/logo/${logo.sha256}.png`]) {
      expect((await api.request('get', path)).status).toBe(404);
    }
    expect((await call('delete', '/page-theme/logo')).status).toBe(204);
    expect(await html()).not.toContain('<img');
    expect((await api.request('get', pathname)).status).toBe(404);
    expect((await call('delete', '/page-theme/logo')).status).toBe(404);
    const audit = await many<{ action: string }>(
      api.db,
      sql`SELECT action FROM audit_log WHERE workspace_id = ${workspace.id} AND action LIKE 'page_logo%' ORDER BY id`,
    );
    expect(audit.map(({ action }) => action)).toEqual(['page_logo.update', 'page_logo.remove']);
  });
});
