import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { exampleWorld, type World } from '../support/examples';
import { draftCampaign, exampleTemplate, submittedCampaign } from '../support/examples/content';

let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'approval' });
});
beforeEach(async () => {
  world = await exampleWorld(api);
});
afterAll(() => api.close());

type Who = 'owner' | 'marketer' | 'approver' | 'operator';

function as(who: Who, method: string, path: string, body?: unknown, headers?: Record<string, string>) {
  return api.request(method, `/workspaces/${world.workspace.id}/email-marketing${path}`, {
    token: world.workspace.tokens[who],
    body,
    headers,
  });
}

async function mode(approvalMode: 'FOUR_EYES' | 'SELF' | 'OFF'): Promise<void> {
  await api.db.query(sql`UPDATE workspaces SET approval_mode = ${approvalMode} WHERE id = ${world.workspace.id}`);
}

function approvalsOf(messageId: string) {
  return many<{ decision: string; decided_by: string; comment: string }>(
    api.db,
    sql`SELECT decision, decided_by, comment FROM approvals WHERE message_id = ${messageId} ORDER BY id`,
  );
}

describe('submitting', () => {
  test('freezes content, context, sender, audience and links under one hash', async () => {
    const campaignId = await draftCampaign(world, {
      template_context: { season: 'spring' },
      body_html: '<p>{{ season }} {{ first_name }}</p><a href="https://shop.example/{{ season }}">Shop</a>',
      from_name: 'Ада Лавлейс',
    });
    const submitted = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    expect(submitted.status).toBe(201);
    expect(submitted.body).toMatchObject({
      origin: 'CAMPAIGN',
      campaign_id: campaignId,
      approval: 'SUBMITTED',
      from_name: 'Ада Лавлейс',
      from_email: 'news@mail.example',
      links: ['https://shop.example/spring'],
      template_context: { season: 'spring' },
      audience: { include: [], exclude: [], all_consented: true },
      submitted_by: world.workspace.people.marketer.id,
      approvals: [],
    });
    expect(submitted.body.sha256).toMatch(/^[0-9a-f]{64}$/);
    const campaign = await as('marketer', 'GET', `/campaigns/${campaignId}`);
    expect(campaign.body.approval).toEqual({ message_id: submitted.body.id, state: 'SUBMITTED' });
  });

  test('again without a change answers with the same message', async () => {
    const { campaignId, messageId } = await submittedCampaign(world);
    const again = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    expect([again.status, again.body.id]).toEqual([200, messageId]);
  });

  test('many times at once makes one message', async () => {
    const campaignId = await draftCampaign(world);
    const all = await Promise.all(
      Array.from({ length: 6 }, () => as('marketer', 'POST', `/campaigns/${campaignId}/submit`)),
    );
    expect(all.filter((response) => response.status === 201)).toHaveLength(1);
    expect(all.every((response) => [200, 201, 412].includes(response.status))).toBe(true);
    expect(await many(api.db, sql`SELECT 1 FROM messages WHERE campaign_id = ${campaignId}`)).toHaveLength(1);
  });

  test('with a template freezes its version: a later one changes nothing', async () => {
    const template = await exampleTemplate(world, { category: 'NEWSLETTER' });
    const campaignId = await draftCampaign(world, {
      template_id: template.id,
      subject_template: null,
      body_html: null,
    });
    const submitted = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    expect(submitted.body).toMatchObject({ template_id: template.id, template_version: 1 });
    await as('marketer', 'PATCH', `/templates/${template.id}`, { body_html: '<p>Other</p>' });
    const message = await as('marketer', 'GET', `/messages/${submitted.body.id}`);
    expect(message.body).toMatchObject({ approval: 'SUBMITTED', sha256: submitted.body.sha256 });
    expect(message.body.html).not.toContain('Other');
  });

  test.each([
    ['nobody', { all_consented: false }, '/body/audiences/include'],
    ['no content', { body_html: null }, '/body/body_html'],
    ['no subject', { subject_template: null }, '/body/subject_template'],
    ['no purpose', { purpose: null }, '/body/purpose'],
  ])('of a campaign with %s is refused', async (_name, more, pointer) => {
    const campaignId = await draftCampaign(world, more);
    const response = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe(pointer);
    expect(await many(api.db, sql`SELECT 1 FROM messages WHERE campaign_id = ${campaignId}`)).toEqual([]);
  });
});

describe('four eyes', () => {
  test('whoever submitted or wrote a part may not approve; another may', async () => {
    const campaignId = await draftCampaign(world);
    await as('owner', 'PATCH', `/campaigns/${campaignId}`, { from_name: 'Owner wrote this' });
    const { body: message } = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    expect((await as('marketer', 'POST', `/messages/${message.id}/approve`)).status).toBe(403);
    const author = await as('owner', 'POST', `/messages/${message.id}/approve`);
    expect(author.status).toBe(403);
    expect(author.body.detail).toContain('wrote a part');
    const other = await as('approver', 'POST', `/messages/${message.id}/approve`, { comment: 'Read it twice.' });
    expect(other.status).toBe(200);
    expect(other.body.approval).toBe('APPROVED');
    expect(await approvalsOf(message.id)).toEqual([
      { decision: 'APPROVED', decided_by: world.workspace.people.approver.id, comment: 'Read it twice.' },
    ]);
  });

  test('the author of the template is an author of the campaign', async () => {
    const { id: template } = await exampleTemplate(world, { category: 'NEWSLETTER' });
    const campaignId = await draftCampaign(world, { template_id: template, subject_template: null, body_html: null });
    const { body: message } = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    expect((await as('owner', 'POST', `/messages/${message.id}/approve`)).status).toBe(403);
    expect((await as('approver', 'POST', `/messages/${message.id}/approve`)).status).toBe(200);
  });

  test('a key is the person it belongs to', async () => {
    const campaignId = await draftCampaign(world);
    const { body: message } = await as('owner', 'POST', `/campaigns/${campaignId}/submit`);
    const key = await api.createApiKey(world.workspace, ['content:approve', 'content:read']);
    const path = `/workspaces/${world.workspace.id}/email-marketing/messages/${message.id}/approve`;
    expect((await api.request('POST', path, { token: key })).status).toBe(403);
  });

  test('two approvers at once: one decision', async () => {
    const { messageId } = await submittedCampaign(world);
    const both = await Promise.all([
      as('approver', 'POST', `/messages/${messageId}/approve`),
      as('owner', 'POST', `/messages/${messageId}/reject`, { comment: 'No.' }),
    ]);
    expect(both.map((response) => response.status).sort()).toEqual([200, 409]);
    expect(await approvalsOf(messageId)).toHaveLength(1);
  });
});

describe('other modes', () => {
  test('SELF: the author may approve', async () => {
    await mode('SELF');
    const campaignId = await draftCampaign(world);
    const { body: message } = await as('owner', 'POST', `/campaigns/${campaignId}/submit`);
    expect((await as('owner', 'POST', `/messages/${message.id}/approve`)).status).toBe(200);
  });

  test('OFF: submitting approves, and says so in the record', async () => {
    await mode('OFF');
    const campaignId = await draftCampaign(world);
    const { body: message } = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    expect(message.approval).toBe('APPROVED');
    const [decision] = await approvalsOf(message.id);
    expect(decision).toMatchObject({ decision: 'APPROVED', decided_by: world.workspace.people.marketer.id });
    expect(decision?.comment).toContain('OFF');
  });
});

describe('rejecting', () => {
  test('needs a comment, and a new submission makes a new message', async () => {
    const { campaignId, messageId } = await submittedCampaign(world);
    expect((await as('approver', 'POST', `/messages/${messageId}/reject`, { comment: ' ' })).status).toBe(422);
    const rejected = await as('approver', 'POST', `/messages/${messageId}/reject`, { comment: 'Wrong price.' });
    expect(rejected.body.approval).toBe('REJECTED');
    expect((await as('approver', 'POST', `/messages/${messageId}/approve`)).status).toBe(409);
    const again = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    expect(again.status).toBe(201);
    expect(again.body.id).not.toBe(messageId);
    expect(again.body.sha256).toBe(rejected.body.sha256);
  });
});

describe('editing voids', () => {
  test.each([
    ['subject', { subject_template: 'Another subject' }],
    ['content', { body_html: '<p>Another body</p>' }],
    ['context', { template_context: { a: 1 } }],
    ['From', { from_email: 'other@mail.example' }],
    ['reply-to', { reply_to: 'other@mail.example' }],
    ['audience', { all_consented: false }],
    ['category', { category: 'newsletter' }],
    ['tracking', { tracking: false }],
  ])('a change of the %s', async (_name, change) => {
    const { campaignId, messageId } = await submittedCampaign(world);
    await as('approver', 'POST', `/messages/${messageId}/approve`);
    const edited = await as('marketer', 'PATCH', `/campaigns/${campaignId}`, change);
    expect(edited.status).toBe(200);
    expect(edited.body.approval).toEqual({ message_id: messageId, state: 'VOIDED' });
    expect((await approvalsOf(messageId)).map((row) => row.decision)).toEqual(['APPROVED', 'VOIDED']);
    const send = await as('operator', 'POST', `/campaigns/${campaignId}/send`);
    expect(send.status).toBe(409);
    expect(send.body).toMatchObject({ state: 'DRAFT', approval: 'VOIDED' });
  });

  test('but not a change of name, notes, tags, goals or window', async () => {
    const { campaignId, messageId } = await submittedCampaign(world);
    await as('approver', 'POST', `/messages/${messageId}/approve`);
    const edited = await as('marketer', 'PATCH', `/campaigns/${campaignId}`, {
      name: 'New name',
      notes: 'x',
      tags: ['a'],
      goals: ['sell'],
      send_window: { start: '09:00', end: '17:00', timezone: 'Europe/Berlin' },
    });
    expect(edited.body.approval.state).toBe('APPROVED');
  });

  test('a changed message does not match its hash, and is not sent', async () => {
    const { campaignId, messageId } = await submittedCampaign(world);
    await as('approver', 'POST', `/messages/${messageId}/approve`);
    await api.db.query(sql`UPDATE messages SET subject = 'Smuggled in' WHERE id = ${messageId}`);
    const send = await as('operator', 'POST', `/campaigns/${campaignId}/send`);
    expect(send.status).toBe(409);
    expect(await one(api.db, sql`SELECT 1 FROM campaign_runs WHERE campaign_id = ${campaignId}`)).toBeNull();
  });

  test('a scheduled run gets the message that is approved next', async () => {
    const { campaignId, messageId } = await submittedCampaign(world);
    await as('approver', 'POST', `/messages/${messageId}/approve`);
    const scheduled_at = new Date(Date.now() + 3_600_000).toISOString();
    await as('operator', 'POST', `/campaigns/${campaignId}/schedule`, { scheduled_at });
    await as('marketer', 'PATCH', `/campaigns/${campaignId}`, { subject_template: 'Second thoughts' });
    const { body: second } = await as('marketer', 'POST', `/campaigns/${campaignId}/submit`);
    await as('approver', 'POST', `/messages/${second.id}/approve`);
    expect(
      await one(api.db, sql`SELECT message_id, sha256, status FROM campaign_runs WHERE campaign_id = ${campaignId}`),
    ).toEqual({ message_id: second.id, sha256: second.sha256, status: 'SCHEDULED' });
  });
});
