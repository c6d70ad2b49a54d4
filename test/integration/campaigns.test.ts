import { randomUUID } from 'node:crypto';
import { CAMPAIGN_STATES, CAMPAIGN_TRANSITIONS, type CampaignState } from '../../domain/campaigns';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi, type TestResponse } from '../support/api';
import { acceptQueued, addConsented, audienceOf } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';
import { approvedCampaign, draftCampaign, scheduledCampaign } from '../support/examples/content';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'campaigns' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

type Who = 'owner' | 'marketer' | 'approver' | 'operator' | 'viewer';
function as(who: Who, method: string, path: string, body?: unknown, headers?: Record<string, string>) {
  return api.request(method, `/workspaces/${world.workspace.id}/email-marketing/campaigns${path}`, {
    token: world.workspace.tokens[who],
    body,
    headers,
  });
}
const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString();

/** A campaign in a state, begun or not; states that need a worker are written by hand. */
async function inState(state: CampaignState, begun: boolean): Promise<string> {
  if (state === 'DRAFT') return approvedCampaign(world);
  const campaignId = await scheduledCampaign(world);
  const phase = begun ? 'MATERIALISED' : 'PENDING';
  const stream = { SCHEDULED: 'WAITING', SENDING: 'ACTIVE', SENT: 'ACTIVE', PAUSED: 'PAUSED', CANCELLED: 'CANCELLED' }[
    state
  ];
  await api.db.query(sql`
    WITH run AS (
      UPDATE campaign_runs SET status = ${state}, phase = ${phase}, started_at = ${begun ? new Date() : null}
      WHERE campaign_id = ${campaignId} RETURNING stream_id)
    UPDATE streams SET state = ${stream} FROM run WHERE id = run.stream_id`);
  return campaignId;
}

function act(campaignId: string, action: string): Promise<TestResponse> {
  switch (action) {
    case 'schedule':
      return as('operator', 'POST', `/${campaignId}/schedule`, { scheduled_at: tomorrow() });
    case 'edit-content':
      return as('marketer', 'PATCH', `/${campaignId}`, { subject_template: `Another ${Math.random()}` });
    case 'delete':
      return as('marketer', 'DELETE', `/${campaignId}`);
    default:
      return as('operator', 'POST', `/${campaignId}/${action}`);
  }
}

describe('the transition table', () => {
  const begunOf: Record<CampaignState, boolean[]> = {
    DRAFT: [false],
    SCHEDULED: [false],
    SENDING: [true],
    PAUSED: [false, true],
    CANCELLED: [false],
    SENT: [true],
  };
  const cases = CAMPAIGN_STATES.flatMap((state) =>
    begunOf[state].flatMap((begun) =>
      ['schedule', 'send', 'pause', 'resume', 'cancel', 'edit-content', 'delete'].map((action) => ({
        state,
        begun,
        action,
      })),
    ),
  );

  test.each(cases)('$action when $state (begun: $begun)', async ({ state, begun, action }) => {
    const campaignId = await inState(state, begun);
    const wanted = CAMPAIGN_TRANSITIONS.filter(
      (transition) =>
        transition.action === action &&
        transition.from === state &&
        // Where the table has two ways, having begun decides.
        !(action === 'resume' && (transition.to === 'SENDING') !== begun) &&
        !(action === 'edit-content' && begun),
    );
    expect(wanted.length).toBeLessThanOrEqual(1);
    const response = await act(campaignId, action);
    const [transition] = wanted;
    if (!transition) {
      expect(response.status).toBe(409);
      expect(response.body).toMatchObject({ type: 'urn:sally:problem:conflict', state });
      expect(response.body.detail).toContain(state);
      expect((await as('viewer', 'GET', `/${campaignId}`)).body.status).toBe(state);
      return;
    }
    expect([200, 202, 204]).toContain(response.status);
    if (action === 'delete') return;
    expect(response.body.status).toBe(transition.to);
    const stream = await one<{ state: string }>(
      api.db,
      sql`SELECT s.state FROM campaign_runs r JOIN streams s ON s.id = r.stream_id WHERE r.campaign_id = ${campaignId} ORDER BY r.id DESC LIMIT 1`,
    );
    const streams = {
      SCHEDULED: 'WAITING',
      SENDING: 'ACTIVE',
      SENT: 'ACTIVE',
      PAUSED: 'PAUSED',
      CANCELLED: 'CANCELLED',
    };
    if (transition.to !== 'DRAFT') expect(stream?.state).toBe(streams[transition.to]);
  });

  test('is for those who have the permission', async () => {
    const campaignId = await approvedCampaign(world);
    expect((await as('viewer', 'POST', `/${campaignId}/send`)).status).toBe(403);
    expect((await as('operator', 'PATCH', `/${campaignId}`, { name: 'x' })).status).toBe(403);
    expect((await as('approver', 'POST', `/${campaignId}/send`)).status).toBe(202);
  });

  test('a cancelled campaign that reached somebody cannot be sent again', async () => {
    await addConsented(world, 1);
    const campaignId = await inState('CANCELLED', true);
    const run = await one<{ id: string; stream_id: string; lane_id: string; message_id: string }>(
      api.db,
      sql`SELECT r.id, r.stream_id, s.lane_id, r.message_id FROM campaign_runs r JOIN streams s ON s.id = r.stream_id
          WHERE campaign_id = ${campaignId}`,
    );
    await api.db.query(sql`
      INSERT INTO deliveries (workspace_id, source_type, source_id, step_key, recipient_key, message_id, lane_id, stream_id,
        mx_group, class, priority, not_before, status)
      VALUES (${world.workspace.id}, 'CAMPAIGN', ${run?.id}, 'send', 'x', ${run?.message_id}, ${run?.lane_id},
        ${run?.stream_id}, 'other', 'bulk', 10, now(), 'UNCONFIRMED')`);
    const again = await as('operator', 'POST', `/${campaignId}/send`);
    expect(again.status).toBe(409);
    expect(again.body.detail).toContain('nobody may get it twice');
  });
});

describe('starting', () => {
  test('many times at once makes one run', async () => {
    const campaignId = await approvedCampaign(world);
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        as('operator', 'POST', `/${campaignId}/schedule`, {
          scheduled_at: new Date(Date.now() + 3_600_000 + index * 1_000).toISOString(),
        }),
      ),
    );
    expect(all.map((response) => response.status).sort()).toEqual([202, ...Array(7).fill(409)]);
    expect(await many(api.db, sql`SELECT 1 FROM campaign_runs WHERE campaign_id = ${campaignId}`)).toHaveLength(1);
    expect(await many(api.db, sql`SELECT 1 FROM streams WHERE workspace_id = ${world.workspace.id}`)).toHaveLength(1);
  });

  test('with the same Idempotency-Key answers the same', async () => {
    const campaignId = await approvedCampaign(world);
    const send = () => as('operator', 'POST', `/${campaignId}/send`, undefined, { 'idempotency-key': 'go' });
    const all = await Promise.all([send(), send(), send()]);
    expect(all.map((response) => response.status)).toEqual([202, 202, 202]);
    expect(new Set(all.map((response) => response.body.run_id)).size).toBe(1);
  });

  test('pause and cancel at once: one after the other, never both half', async () => {
    const campaignId = await inState('SENDING', true);
    const both = await Promise.all([act(campaignId, 'pause'), act(campaignId, 'cancel')]);
    expect(both[1]?.status).toBe(202);
    expect([202, 409]).toContain(both[0]?.status);
    expect((await as('viewer', 'GET', `/${campaignId}`)).body.status).toBe('CANCELLED');
  });

  test.each([
    ['a moment that is over', '2020-01-01T00:00:00Z'],
    ['no moment', 'tomorrow'],
    ['a moment without offset', '2099-01-01T00:00:00'],
  ])('refuses %s', async (_name, scheduled_at) => {
    const campaignId = await approvedCampaign(world);
    const response = await as('operator', 'POST', `/${campaignId}/schedule`, { scheduled_at });
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe('/body/scheduled_at');
  });

  test('needs an approved message', async () => {
    const response = await as('operator', 'POST', `/${await draftCampaign(world)}/send`);
    expect(response.status).toBe(409);
    expect(response.body.approval).toBe('NOT SUBMITTED');
  });
});

describe('with Temporal down', () => {
  test('everything takes effect in the row', async () => {
    const alone = await startTestApi({ databaseName: 'campaigns alone', temporal: 'absent' });
    try {
      const there = await exampleWorld(alone);
      const campaignId = await approvedCampaign(there);
      for (const [action, status] of [
        ['send', 'SCHEDULED'],
        ['pause', 'PAUSED'],
        ['resume', 'SCHEDULED'],
        ['cancel', 'CANCELLED'],
      ]) {
        const { body } = await there.call('POST', `/workspaces/{ws}/email-marketing/campaigns/${campaignId}/${action}`);
        expect(body).toMatchObject({ status, workflow: { run_id: null } });
      }
    } finally {
      await alone.close();
    }
  });
});

describe('drafting', () => {
  test('keeps every field', async () => {
    const [contact = ''] = await addConsented(world, 1);
    const audience = await audienceOf(world, [contact]);
    const body = {
      name: 'Spring',
      description: 'Our spring news',
      goals: ['sell', 'thank'],
      tags: ['spring', '2027'],
      notes: 'Ask Grace.',
      subject_template: 'Spring, {{ first_name|default("friend") }}',
      body_html: '<p>{{ offer }}</p>',
      body_text: 'Offer: {{ offer }}',
      preview_text: 'New',
      template_context: { offer: 'Tulips' },
      from_name: 'Grüße GmbH',
      from_email: 'news@mail.example',
      reply_to: 'help@mail.example',
      category: 'newsletter',
      purpose: 'newsletter',
      audiences: { include: [audience], exclude: [] },
      all_consented: false,
      send_window: { start: '22:00', end: '02:00', timezone: 'America/Santiago', weekdays: [1, 2] },
      tracking: false,
      expires_at: '2099-12-31T00:00:00.000Z',
    };
    const made = await as('marketer', 'POST', '', body);
    expect(made.status).toBe(201);
    const read = await as('viewer', 'GET', `/${made.body.id}`);
    expect(read.body).toMatchObject({
      ...body,
      status: 'DRAFT',
      campaign_type: 'ONE_TIME',
      total_recipients: 0,
      approval: null,
    });
    expect(read.headers.get('etag')).toBe('"v1"');
    const found = await api.request('GET', `/workspaces/${world.workspace.id}/email-marketing/campaigns`, {
      token: world.workspace.tokens.viewer,
      query: { tag: '2027', status: 'DRAFT' },
    });
    expect(found.body.items.map((item: { id: string }) => item.id)).toEqual([made.body.id]);
  });

  test.each([
    ['a recurring campaign', { campaign_type: 'RECURRING' }, '/body/campaign_type'],
    ['a triggered campaign', { campaign_type: 'TRIGGERED' }, '/body/campaign_type'],
    ['another channel', { channel: 'sms' }, '/body/channel'],
    ['a sending pool that is none', { sending_pool_id: randomUUID() }, '/body/sending_pool_id'],
    ['an identity that is none', { sending_identity_id: randomUUID() }, '/body/sending_identity_id'],
    [
      'an identity besides an address',
      { sending_identity_id: randomUUID(), from_email: 'a@b.example' },
      '/body/sending_identity_id',
    ],
    ['an unknown strategy', { routing_config: { strategy: 'random' } }, '/body/routing_config/strategy'],
    ['weights without a pool', { routing_config: { strategy: 'weighted' } }, '/body/routing_config/strategy'],
    [
      'a preferred provider that is none',
      { routing_config: { preferred_providers: [randomUUID()] } },
      '/body/routing_config/preferred_providers/0',
    ],
    ['an unknown wish for routing', { routing_config: { retries: 3 } }, '/body/routing_config'],
    ['a header in the From name', { from_name: 'News\r\nBcc: eve@contacts.example' }, '/body/from_name'],
    ['a header in the From address', { from_email: 'a@b.example\nBcc: eve@contacts.example' }, '/body/from_email'],
    ['a From address with a name', { from_email: 'News <news@mail.example>' }, '/body/from_email'],
    ['a broken reply-to', { reply_to: 'nobody' }, '/body/reply_to'],
    ['a header in the subject', { subject_template: 'a\nb' }, '/body/subject_template'],
    [
      'a window of no length',
      { send_window: { start: '09:00', end: '09:00', timezone: 'UTC' } },
      '/body/send_window/end',
    ],
    [
      'a window on Mars',
      { send_window: { start: '09:00', end: '10:00', timezone: 'Mars/Olympus' } },
      '/body/send_window/timezone',
    ],
    [
      'a window at 25 o’clock',
      { send_window: { start: '25:00', end: '10:00', timezone: 'UTC' } },
      '/body/send_window/start',
    ],
    ['an unknown purpose', { purpose: 'unknown' }, '/body/purpose'],
    ['a transactional purpose', { purpose: 'transactional' }, '/body/purpose'],
    ['an unknown category', { category: 'unknown' }, '/body/category'],
    ['an unknown template', { template_id: '018f0000-0000-7000-8000-000000000000' }, '/body/template_id'],
    [
      'an unknown audience',
      { audiences: { include: [], exclude: ['018f0000-0000-7000-8000-000000000000'] } },
      '/body/audiences/exclude/0',
    ],
    ['an undeclared variable', { subject_template: 's', body_html: '{{ nothing_declares_this }}' }, '/body/body_html'],
    ['a template that never ends', { subject_template: 's', body_html: '{{ "x" * 999999999 }}' }, '/body/body_html'],
    ['5 MB of HTML', { subject_template: 's', body_html: 'x'.repeat(5 * 1024 * 1024) }, '/body/body_html'],
  ])('refuses %s', async (_name, more, pointer) => {
    const response = await as('marketer', 'POST', '', { name: 'Bad', ...more });
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe(pointer);
    expect(await many(api.db, sql`SELECT 1 FROM campaigns WHERE workspace_id = ${world.workspace.id}`)).toEqual([]);
  });

  test('does not take another workspace’s audience', async () => {
    const other = await exampleWorld(api);
    const foreign = await other.audience();
    const response = await as('marketer', 'POST', '', { name: 'Bad', audiences: { include: [foreign] } });
    expect(response.status).toBe(422);
  });

  test('honours If-Match', async () => {
    const campaignId = await draftCampaign(world);
    expect((await as('marketer', 'PATCH', `/${campaignId}`, { notes: 'a' }, { 'if-match': '"v1"' })).status).toBe(200);
    expect((await as('marketer', 'PATCH', `/${campaignId}`, { notes: 'b' }, { 'if-match': '"v1"' })).status).toBe(412);
  });

  test('a send window may change while it sends, over the changes of clocks too', async () => {
    const campaignId = await inState('SENDING', true);
    const send_window = { start: '02:30', end: '03:30', timezone: 'Europe/Berlin' };
    const changed = await as('marketer', 'PATCH', `/${campaignId}`, { send_window });
    expect(changed.body).toMatchObject({ status: 'SENDING', send_window, approval: { state: 'APPROVED' } });
    const stream = await one(
      api.db,
      sql`SELECT s.send_window FROM campaign_runs r JOIN streams s ON s.id = r.stream_id WHERE r.campaign_id = ${campaignId}`,
    );
    expect(stream).toEqual({ send_window });
    expect((await as('marketer', 'PATCH', `/${campaignId}`, { expires_at: tomorrow() })).status).toBe(409);
  });
});

describe('test mail', () => {
  test('goes to members and listed addresses without approval, frozen as it is', async () => {
    await api.db.query(
      sql`UPDATE workspaces SET test_recipients = ARRAY['QA@partner.example'] WHERE id = ${world.workspace.id}`,
    );
    const campaignId = await draftCampaign(world, { all_consented: false });
    const { email } = world.workspace.people.viewer;
    const sent = await as('marketer', 'POST', `/${campaignId}/test`, { to: [email, 'qa@partner.example'] });
    expect(sent.status).toBe(202);
    expect(sent.body.deliveries.map((delivery: { to: string }) => delivery.to)).toEqual([email, 'qa@partner.example']);
    const rows = await many(
      api.db,
      sql`SELECT d.class, d.source_type, d.status, d.address, d.recipient_name, m.origin, m.approval FROM deliveries d
          JOIN messages m ON m.id = d.message_id WHERE d.workspace_id = ${world.workspace.id} ORDER BY d.address DESC`,
    );
    const expected = { class: 'test', source_type: 'TEST', status: 'QUEUED', origin: 'TEST', approval: 'NONE' };
    expect(rows).toEqual(
      [
        { ...expected, address: email, recipient_name: 'The viewer' },
        { ...expected, address: 'qa@partner.example', recipient_name: null },
      ].sort((a, b) => (a.address < b.address ? 1 : -1)),
    );
    expect((await as('marketer', 'GET', `/${campaignId}`)).body).toMatchObject({ status: 'DRAFT', approval: null });
  });

  test('goes to nobody else', async () => {
    const campaignId = await draftCampaign(world);
    const { email } = world.workspace.people.owner;
    const response = await as('marketer', 'POST', `/${campaignId}/test`, { to: [email, 'customer@contacts.example'] });
    expect(response.status).toBe(422);
    expect(response.body.errors).toEqual([{ pointer: '/body/to/1', detail: expect.any(String) }]);
    expect(await many(api.db, sql`SELECT 1 FROM deliveries WHERE workspace_id = ${world.workspace.id}`)).toEqual([]);
  });
});

describe('recipients', () => {
  test('have the spec’s statuses, derived the same in SQL and in the rules, and pages', async () => {
    const contacts = await addConsented(world, 8);
    const campaignId = await inState('SENDING', true);
    const run = await one<{ id: string; stream_id: string; lane_id: string; message_id: string }>(
      api.db,
      sql`SELECT r.id, r.stream_id, s.lane_id, r.message_id FROM campaign_runs r JOIN streams s ON s.id = r.stream_id
          WHERE campaign_id = ${campaignId}`,
    );
    const statuses = ['QUEUED', 'SENDING', 'UNCONFIRMED', 'SENT', 'SENT', 'SENT', 'SENT', 'FAILED'];
    const rows = await many<{ id: string; contact_id: string }>(
      api.db,
      sql`INSERT INTO deliveries (workspace_id, source_type, source_id, step_key, recipient_key, contact_id, message_id, lane_id,
            stream_id, mx_group, class, priority, not_before, status, reason)
          SELECT ${world.workspace.id}, 'CAMPAIGN', ${run?.id}, 'send', v.contact::text, v.contact, ${run?.message_id},
            ${run?.lane_id}, ${run?.stream_id}, 'other', 'bulk', 10, now(), v.status,
            CASE WHEN v.status = 'FAILED' THEN 'SUPPRESSED_ADDRESS' END
          FROM unnest(${contacts}::uuid[], ${statuses}::text[]) AS v (contact, status) RETURNING id, contact_id`,
    );
    const delivery = new Map(rows.map((row) => [row.contact_id, row.id]));
    const engage = (index: number, kind: string, actor: string) =>
      api.db.query(sql`
        INSERT INTO engagements (workspace_id, id, source_id, delivery_id, kind, actor, occurred_at)
        VALUES (${world.workspace.id}, sally_uuid_v7(), ${run?.id}, ${delivery.get(contacts[index] ?? '')}, ${kind}, ${actor}, now())`);
    await engage(3, 'OPEN', 'machine');
    await engage(4, 'OPEN', 'human');
    await engage(5, 'OPEN', 'human');
    await engage(5, 'CLICK', 'unknown');
    await engage(6, 'CLICK', 'human');
    await engage(6, 'UNSUBSCRIBE', 'human');
    const wanted = ['PENDING', 'PENDING', 'PENDING', 'SENT', 'OPENED', 'CLICKED', 'UNSUBSCRIBED', 'FAILED'];
    const list = async (query: Record<string, string | number>) =>
      (
        await api.request(
          'GET',
          `/workspaces/${world.workspace.id}/email-marketing/campaigns/${campaignId}/recipients`,
          {
            token: world.workspace.tokens.viewer,
            query,
          },
        )
      ).body;
    const all = (await list({})).items as {
      id: string;
      contact_id: string;
      status: string;
      reason: string | null;
      email: string;
    }[];
    expect(contacts.map((contact) => all.find((item) => item.contact_id === contact)?.status)).toEqual(wanted);
    expect(all.find((item) => item.status === 'FAILED')?.reason).toBe('SUPPRESSED_ADDRESS');
    expect(all.every((item) => /^reader\d@/.test(item.email))).toBe(true);
    for (const status of new Set(wanted)) {
      const filtered = (await list({ status })).items as { status: string }[];
      expect(filtered.map((item) => item.status)).toEqual(wanted.filter((entry) => entry === status));
    }
    const first = await list({ limit: 5 });
    const second = await list({ limit: 5, cursor: first.next_cursor });
    expect([...first.items, ...second.items].map((item: { id: string }) => item.id)).toEqual(
      all.map((item) => item.id),
    );
    expect((await as('viewer', 'GET', `/${campaignId}`)).body).toMatchObject({
      open_count: 2,
      unique_open_count: 2,
      click_count: 2,
      unsubscribe_count: 1,
    });
    // Rows that nothing counted: the proof says so.
    expect((await as('viewer', 'GET', `/${campaignId}/ledger`)).body.balanced).toBe(false);
    expect(await acceptQueued(api.db, run?.id ?? '')).toBe(1);
  });

  test('are nobody before the campaign begins', async () => {
    const campaignId = await draftCampaign(world);
    expect((await as('viewer', 'GET', `/${campaignId}/recipients`)).body).toEqual({ items: [], next_cursor: null });
    expect((await as('viewer', 'GET', `/${campaignId}/ledger`)).body).toMatchObject({
      balanced: true,
      rows: 0,
      run_id: null,
    });
  });
});
