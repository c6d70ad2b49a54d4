import { setGauges } from '../../activities/delivery/gauges';
import { alertEarlyQuotasAnywhere } from '../../db/journeys';
import { PLAN_SEQUENCES_JOB } from '../../domain/journeys';
import { metricsRegistry } from '../../platform/metrics';
import { many, one, sql } from '../../platform/postgres';
import { startTestApi, type TestApi } from '../support/api';
import { addConsented, audienceOf } from '../support/campaign-runs';
import { exampleWorld, type World } from '../support/examples';
import { exampleTemplate } from '../support/examples/content';
import {
  aProvider,
  approveSteps,
  enrolIn,
  mailboxesOf,
  plan,
  sequenceOf,
  setClock,
  settlePlanned,
  WINDOW,
} from '../support/sequence-world';

/** No worker runs in this namespace: tests call the plan, and settle the rows by themselves. */
let api: TestApi;
let world: World;
beforeAll(async () => {
  api = await startTestApi({ databaseName: 'sequences', env: { ALLOW_PRIVATE_SMTP: 'true' } });
});
beforeEach(async () => {
  await setClock(api, '2027-01-18T00:05:00+01:00');
  world = await exampleWorld(api);
  await api.db.query(sql`UPDATE workspaces SET time_zone = 'Europe/Berlin' WHERE id = ${world.workspace.id}`);
});
afterAll(() => api.close());

const call = (method: string, path: string, body?: unknown) =>
  api.request(method, path.replace('{ws}', world.workspace.id), { token: world.workspace.tokens.owner, body });
const enrolments = async (sequenceId: string) =>
  (await world.call('GET', `/workspaces/{ws}/sequences/${sequenceId}/enrolments?limit=200`)).body.items;
const schedule = async (mailboxId: string) =>
  (await world.call('GET', `/workspaces/{ws}/email-infrastructure/mailboxes/${mailboxId}/schedule`)).body;
const rows = (sequenceId: string) =>
  many<{
    contact_id: string;
    mailbox_id: string;
    not_before: Date;
    status: string;
    step_key: string;
    mailbox_date: string | null;
  }>(
    api.db,
    sql`SELECT d.contact_id, d.mailbox_id, d.not_before, d.status, d.step_key, d.mailbox_date::text FROM deliveries d
        JOIN sequence_enrolments e ON e.id = d.source_id WHERE e.sequence_id = ${sequenceId} ORDER BY d.not_before, d.id`,
  );

describe('the day’s plan', () => {
  test('is the specification’s: 120 people, 3 mailboxes of 30, 90 mails at 09:00 + 16·k; a second run inserts nothing', async () => {
    const mailboxes = await mailboxesOf(world, 3, 30);
    const sequence = await sequenceOf(world, mailboxes);
    const people = await addConsented(world, 120);
    const audience_id = await audienceOf(world, people);
    expect(await enrolIn(world, sequence, { audience_id })).toMatchObject({ enrolled: 120, already_enrolled: 0 });
    expect(await plan(world)).toMatchObject({ date: '2027-01-18', planned: 90, unplanned: { NO_QUOTA: 30 } });
    expect(await plan(world)).toMatchObject({ planned: 0, unplanned: { NO_QUOTA: 30 } });
    const nine = Date.parse('2027-01-18T09:00:00+01:00');
    for (const mailbox of mailboxes) {
      const day = await schedule(mailbox);
      expect(day).toMatchObject({ date: '2027-01-18', daily_quota: 30, used: 0, reserved: 30, left: 0 });
      expect(day.mails.map((mail: { slot_at: string }) => Date.parse(mail.slot_at))).toEqual(
        Array.from({ length: 30 }, (_, k) => nine + k * 16 * 60_000),
      );
    }
    // The oldest enrolments came first: the list's order is that of the contacts' ids.
    const planned = new Set((await rows(sequence)).map((row) => row.contact_id));
    expect([...planned].sort()).toEqual([...people].sort().slice(0, 90));
    const job = await one(
      api.db,
      sql`SELECT local_date::text, details FROM workspace_jobs WHERE workspace_id = ${world.workspace.id} AND job = ${PLAN_SEQUENCES_JOB}`,
    );
    expect(job).toMatchObject({ local_date: '2027-01-18' });
    // The next day gives the rest its slots.
    await settlePlanned(world, sequence);
    await setClock(api, '2027-01-19T00:10:00+01:00');
    expect(await plan(world)).toMatchObject({ date: '2027-01-19', planned: 30, advanced: 90 });
  });

  test('runs at once in two processes and plans everybody once', async () => {
    const mailboxes = await mailboxesOf(world, 2, 20);
    const sequence = await sequenceOf(world, mailboxes);
    await enrolIn(world, sequence, { audience_id: await audienceOf(world, await addConsented(world, 60)) });
    const plans = await Promise.all([plan(world), plan(world), plan(world)]);
    expect(plans.map((one) => one.planned).sort()).toEqual([0, 0, 40]);
    expect(await rows(sequence)).toHaveLength(40);
    const quota = (await world.call('GET', '/workspaces/{ws}/email-infrastructure/quota')).body;
    expect(quota.mailboxes).toMatchObject([
      { reserved: 20, left: 0 },
      { reserved: 20, left: 0 },
    ]);
  });
});

describe('an enrolment', () => {
  test('goes through its steps by calendar days from the acceptance, on one mailbox, and completes', async () => {
    const mailboxes = await mailboxesOf(world, 2, 30);
    const sequence = await sequenceOf(world, mailboxes, [0, 2, 1]);
    const [contact] = await addConsented(world, 1);
    await setClock(api, '2027-01-18T10:07:00+01:00');
    const enrolled = await enrolIn(world, sequence, { contact_ids: [contact] });
    expect(enrolled).toMatchObject({ enrolled: 1, workflow: null });
    const [first] = await rows(sequence);
    // The window is open: at once.
    const askedAt = Date.parse('2027-01-18T10:07:00+01:00');
    expect(Math.abs(askedAt - (first?.not_before.getTime() ?? 0))).toBeLessThan(60_000);
    expect((await enrolments(sequence))[0]).toMatchObject({
      status: 'ACTIVE',
      step_number: 1,
      mail: { status: 'QUEUED' },
    });
    // Accepted late in the evening of the 18th: two calendar days later is the 20th.
    await setClock(api, '2027-01-18T23:50:00+01:00');
    await settlePlanned(world, sequence);
    await setClock(api, '2027-01-19T12:00:00+01:00');
    expect((await plan(world)).planned).toBe(0);
    await setClock(api, '2027-01-20T00:10:00+01:00');
    expect((await plan(world)).planned).toBe(1);
    await settlePlanned(world, sequence);
    await setClock(api, '2027-01-21T00:10:00+01:00');
    expect((await plan(world)).planned).toBe(1);
    await settlePlanned(world, sequence);
    await setClock(api, '2027-01-22T00:10:00+01:00');
    expect((await plan(world)).planned).toBe(0);
    const all = await rows(sequence);
    expect(all.map((row) => row.step_key)).toEqual(['step-1', 'step-2', 'step-3']);
    expect(new Set(all.map((row) => row.mailbox_id)).size).toBe(1);
    expect((await enrolments(sequence))[0]).toMatchObject({ status: 'COMPLETED', step_number: 3, stop_reason: null });
  });

  test('stops when a step fails, and waits while one is unconfirmed', async () => {
    const sequence = await sequenceOf(world, await mailboxesOf(world, 1, 30), [0, 1]);
    const [fails, holds] = await addConsented(world, 2);
    const { enrolment_ids } = await enrolIn(world, sequence, { contact_ids: [fails, holds] });
    expect(enrolment_ids).toHaveLength(2);
    const settle = (contact: string | undefined, status: string, reason: string) =>
      api.db.query(
        sql`UPDATE deliveries SET status = ${status}, reason = ${reason}, claim_id = gen_random_uuid() WHERE contact_id = ${contact}`,
      );
    await settle(fails, 'FAILED', 'RETRIES_EXHAUSTED');
    await settle(holds, 'UNCONFIRMED', 'NO_REPLY');
    await setClock(api, '2027-01-25T00:10:00+01:00');
    expect((await plan(world)).planned).toBe(0);
    const byContact = new Map((await enrolments(sequence)).map((one: { contact_id: string }) => [one.contact_id, one]));
    expect(byContact.get(fails)).toMatchObject({ status: 'FAILED', stop_reason: 'RETRIES_EXHAUSTED' });
    expect(byContact.get(holds)).toMatchObject({ status: 'ACTIVE', due_at: null, mail: { status: 'UNCONFIRMED' } });
  });

  test('stops on bounce, unsubscribe, goal and by hand', async () => {
    const goal_audience_id = await world.audience();
    const sequence = await sequenceOf(world, await mailboxesOf(world, 1, 30), [0, 1], { goal_audience_id });
    const [bounced = '', unsubscribed = '', reached = '', byHand = ''] = await addConsented(world, 4);
    await enrolIn(world, sequence, { contact_ids: [bounced, unsubscribed, reached, byHand] });
    const all: { id: string; contact_id: string }[] = await enrolments(sequence);
    const enrolment = all.find((one) => one.contact_id === byHand)?.id;
    const stop = `/workspaces/{ws}/sequences/${sequence}/enrolments/${enrolment}/stop`;
    expect((await world.call('POST', stop, { reason: 'MANUAL' })).body).toMatchObject({
      status: 'STOPPED',
      stop_reason: 'MANUAL',
      mail: { status: 'CANCELLED' },
    });
    expect((await call('POST', stop, { reason: 'MANUAL' })).status).toBe(409);
    await settlePlanned(world, sequence);
    await api.db.query(sql`UPDATE contacts SET status = 'BOUNCED' WHERE id = ${bounced}`);
    await api.db.query(sql`UPDATE consents SET status = 'denied' WHERE contact_id = ${unsubscribed}`);
    await world
      .insert('audience_members', { audience_id: goal_audience_id, contact_id: reached })
      .catch(() => undefined);
    await api.db.query(sql`INSERT INTO audience_members (workspace_id, audience_id, contact_id)
      VALUES (${world.workspace.id}, ${goal_audience_id}, ${reached})`);
    await setClock(api, '2027-01-19T00:10:00+01:00');
    expect((await plan(world)).planned).toBe(0);
    const reasons = Object.fromEntries(
      (await enrolments(sequence)).map((one: { contact_id: string; stop_reason: string }) => [
        one.contact_id,
        one.stop_reason,
      ]),
    );
    expect(reasons).toEqual({
      [bounced]: 'BOUNCED',
      [unsubscribed]: 'UNSUBSCRIBED',
      [reached]: 'GOAL',
      [byHand]: 'MANUAL',
    });
  });

  test('twice is no error and makes no second one; a contact in two sequences gets one mail a day', async () => {
    const mailboxes = await mailboxesOf(world, 2, 30);
    const [one, two] = [await sequenceOf(world, mailboxes), await sequenceOf(world, mailboxes)];
    const [contact] = await addConsented(world, 1);
    expect(await enrolIn(world, one, { contact_ids: [contact, contact] })).toMatchObject({ enrolled: 1 });
    expect(await enrolIn(world, one, { contact_ids: [contact] })).toMatchObject({ enrolled: 0, already_enrolled: 1 });
    expect(await enrolIn(world, two, { contact_ids: [contact] })).toMatchObject({ enrolled: 1 });
    expect([await rows(one), await rows(two)].map((list) => list.length)).toEqual([1, 0]);
    expect((await plan(world)).unplanned).toEqual({ ONE_PER_DAY: 1 });
    await settlePlanned(world, one);
    await setClock(api, '2027-01-19T00:10:00+01:00');
    await plan(world);
    expect(await rows(two)).toHaveLength(1);
  });

  test('twice at the same moment is one enrolment with one mail', async () => {
    const mailboxes = await mailboxesOf(world, 1, 30);
    const sequence = await sequenceOf(world, mailboxes);
    const [contact] = await addConsented(world, 1);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => enrolIn(world, sequence, { contact_ids: [contact] })),
    );
    const sum = (key: string) => answers.reduce((all, answer) => all + answer[key], 0);
    expect([sum('enrolled'), sum('already_enrolled')]).toEqual([1, 4]);
    await plan(world);
    expect([(await enrolments(sequence)).length, (await rows(sequence)).length]).toEqual([1, 1]);
  });

  test('may be begun again as the sequence says: never, or so many days after the end', async () => {
    const mailboxes = await mailboxesOf(world, 1, 30);
    const [never, later] = [
      await sequenceOf(world, mailboxes, [0]),
      await sequenceOf(world, mailboxes, [0], { reenrol_after_days: 30, several_per_day: true }),
    ];
    const people = await addConsented(world, 2);
    for (const sequence of [never, later]) {
      await enrolIn(world, sequence, { contact_ids: people });
      await plan(world);
      await settlePlanned(world, sequence);
    }
    const again = async (sequence: string) => (await enrolIn(world, sequence, { contact_ids: people })).enrolled;
    // Still in it.
    expect([await again(never), await again(later)]).toEqual([0, 0]);
    await setClock(api, '2027-01-19T00:10:00+01:00');
    await plan(world);
    expect((await enrolments(later)).map((one: { status: string }) => one.status)).toEqual(['COMPLETED', 'COMPLETED']);
    await setClock(api, '2027-02-17T23:00:00+01:00');
    expect([await again(never), await again(later)]).toEqual([0, 0]);
    await setClock(api, '2027-02-19T00:10:00+01:00');
    const forecast = `/workspaces/{ws}/sequences/${later}/forecast`;
    const audience_id = await audienceOf(world, people);
    const { parts } = (await world.call('POST', forecast, { days: 1, audience_id })).body;
    expect(parts).toMatchObject([{ step_number: 1, mails: 2 }]);
    expect([await again(never), await again(later)]).toEqual([0, 2]);
    expect(await again(later)).toBe(0);
    await plan(world);
    expect(await rows(later)).toHaveLength(4);
    const { body } = await world.call('GET', `/workspaces/{ws}/sequences/${later}`);
    expect(body).toMatchObject({ reenrol_after_days: 30, enrolments: { active: 2, completed: 2 } });
  });

  test('that a failed mail has ended goes on when the mail is queued again by its sequence, in another slot', async () => {
    const sequence = await sequenceOf(world, await mailboxesOf(world, 1, 30), [0, 1]);
    const [refused = '', stopped = '', later = ''] = await addConsented(world, 3);
    await enrolIn(world, sequence, { contact_ids: [refused, stopped, later] });
    const all: { id: string; contact_id: string }[] = await enrolments(sequence);
    const idOf = (contact: string) => all.find((one) => one.contact_id === contact)?.id;
    await settlePlanned(world, sequence, 'FAILED', 'SENDER_REJECTED');
    // One is stopped by hand before its failure was taken note of.
    await world.call('POST', `/workspaces/{ws}/sequences/${sequence}/enrolments/${idOf(stopped)}/stop`, {
      reason: 'MANUAL',
    });
    await setClock(api, '2027-01-19T00:10:00+01:00');
    await plan(world);
    const statuses = async () =>
      Object.fromEntries(
        (await enrolments(sequence)).map((one: { contact_id: string; status: string }) => [one.contact_id, one.status]),
      );
    expect(await statuses()).toEqual({ [refused]: 'FAILED', [stopped]: 'STOPPED', [later]: 'FAILED' });
    const request = { sequence_id: sequence, reasons: ['SENDER_REJECTED'], note: 'SPF is mended' };
    const requeue = (more: object) =>
      world.call('POST', '/workspaces/{ws}/deliveries/requeue', { ...request, ...more });
    const dry = (await requeue({ dry_run: true })).body;
    expect(dry).toMatchObject({ matched: { SENDER_REJECTED: 2 }, cancelled: 1, requeued: 0, remaining: 2 });
    expect(await statuses()).toMatchObject({ [refused]: 'FAILED' });
    expect((await requeue({ contact_id: refused })).body).toMatchObject({ requeued: 1, remaining: 0 });
    expect((await requeue({})).body).toMatchObject({ matched: { SENDER_REJECTED: 1 }, requeued: 1, cancelled: 1 });
    expect(await statuses()).toEqual({ [refused]: 'ACTIVE', [stopped]: 'STOPPED', [later]: 'ACTIVE' });
    expect((await plan(world)).planned).toBe(2);
    const planned = (await rows(sequence)).filter((row) => row.status === 'QUEUED');
    expect(planned.map((row) => [row.step_key, row.mailbox_date])).toEqual([
      ['step-1', '2027-01-19'],
      ['step-1', '2027-01-19'],
    ]);
    expect(planned.map((row) => row.not_before.toISOString())).toEqual([
      '2027-01-19T08:00:00.000Z',
      '2027-01-19T08:16:00.000Z',
    ]);
    await settlePlanned(world, sequence);
    await setClock(api, '2027-01-20T00:10:00+01:00');
    expect(await plan(world)).toMatchObject({ advanced: 2, planned: 2 });
  });

  test('waits for its consent', async () => {
    const sequence = await sequenceOf(world, await mailboxesOf(world, 1, 30));
    const contact = await world.contact();
    await enrolIn(world, sequence, { contact_ids: [contact] });
    expect(await rows(sequence)).toEqual([]);
    await api.db.query(sql`INSERT INTO consents (workspace_id, contact_id, purpose_id, status, granted_at, source)
      SELECT ${world.workspace.id}, ${contact}, id, 'granted', sally_now(), 'api' FROM purposes WHERE workspace_id = ${world.workspace.id} AND key = 'newsletter'`);
    expect((await plan(world)).planned).toBe(1);
  });
});

describe('planned mail', () => {
  test('that has missed its window is planned again for the next day, against that day’s quota', async () => {
    const [mailbox = ''] = await mailboxesOf(world, 1, 2);
    const sequence = await sequenceOf(world, [mailbox]);
    await enrolIn(world, sequence, { audience_id: await audienceOf(world, await addConsented(world, 3)) });
    expect((await plan(world)).planned).toBe(2);
    // Nothing was sent on the 18th: all senders were down.
    await setClock(api, '2027-01-19T00:10:00+01:00');
    expect(await plan(world)).toMatchObject({ planned: 2, unplanned: { NO_QUOTA: 1 } });
    const again = await rows(sequence);
    expect(again).toHaveLength(2);
    expect(again.every((row) => row.mailbox_date === '2027-01-19')).toBe(true);
    expect(await schedule(mailbox)).toMatchObject({ reserved: 2, used: 0, left: 0 });
  });

  test('beyond a lowered quota waits; so does that of a mailbox that is switched off', async () => {
    const [mailbox = ''] = await mailboxesOf(world, 1, 5);
    const sequence = await sequenceOf(world, [mailbox]);
    await enrolIn(world, sequence, { audience_id: await audienceOf(world, await addConsented(world, 5)) });
    await plan(world);
    await api.db.query(sql`UPDATE deliveries SET status = 'SENT', sent_at = sally_now(), claim_id = gen_random_uuid()
      WHERE mailbox_id = ${mailbox} AND not_before = (SELECT min(not_before) FROM deliveries WHERE mailbox_id = ${mailbox})`);
    const path = `/workspaces/{ws}/email-infrastructure/mailboxes/${mailbox}`;
    const lowered = (await world.call('PATCH', path, { daily_quota: 3 })).body;
    expect(lowered).toMatchObject({ daily_quota: 3, used: 1, reserved: 2, left: 0 });
    expect((await world.call('PATCH', path, { daily_quota: 1 })).body).toMatchObject({ used: 1, reserved: 0, left: 0 });
    expect((await plan(world)).planned).toBe(0);
    expect((await world.call('PATCH', path, { daily_quota: 30 })).body).toMatchObject({
      used: 1,
      reserved: 0,
      left: 29,
    });
    expect((await plan(world)).planned).toBe(4);
    expect((await world.call('PATCH', path, { is_active: false })).body).toMatchObject({ reserved: 0 });
    expect((await plan(world)).planned).toBe(0);
  });

  test('beyond a quota that is lowered below what is used waits for another day', async () => {
    const [mailbox = ''] = await mailboxesOf(world, 1, 5);
    const sequence = await sequenceOf(world, [mailbox]);
    await enrolIn(world, sequence, { audience_id: await audienceOf(world, await addConsented(world, 5)) });
    await plan(world);
    await api.db.query(sql`UPDATE deliveries SET status = 'SENT', sent_at = sally_now(), claim_id = gen_random_uuid()
      WHERE (source_id, id) IN (SELECT source_id, id FROM deliveries WHERE mailbox_id = ${mailbox} ORDER BY not_before LIMIT 3)`);
    const path = `/workspaces/{ws}/email-infrastructure/mailboxes/${mailbox}`;
    // Three went; two of which no longer may, and nothing is left below nothing.
    const lowered = (await world.call('PATCH', path, { daily_quota: 1 })).body;
    expect(lowered).toMatchObject({ daily_quota: 1, used: 3, reserved: 0, left: 0 });
    expect((await plan(world)).planned).toBe(0);
    await setClock(api, '2027-01-19T00:10:00+01:00');
    expect((await plan(world)).planned).toBe(1);
    expect(await schedule(mailbox)).toMatchObject({ used: 0, reserved: 1, left: 0 });
  });

  test('in a window that the change of clocks makes empty goes on the next day', async () => {
    await setClock(api, '2027-03-28T00:05:00+01:00');
    const mailboxes = await mailboxesOf(world, 1, 5);
    const send_window = { start: '02:00', end: '03:00', timezone: 'Europe/Berlin' };
    const sequence = await sequenceOf(world, mailboxes, [0], { send_window });
    await enrolIn(world, sequence, { contact_ids: await addConsented(world, 1) });
    expect(await plan(world)).toMatchObject({ planned: 0, unplanned: { OUTSIDE_SEND_WINDOW: 1 } });
    expect(await rows(sequence)).toEqual([]);
    await setClock(api, '2027-03-29T00:05:00+02:00');
    expect((await plan(world)).planned).toBe(1);
    expect((await rows(sequence)).map(({ not_before }) => not_before.toISOString())).toEqual([
      '2027-03-29T00:00:00.000Z',
    ]);
  });

  test('keeps its mailbox from being deleted, and the mailbox its provider', async () => {
    const [mailbox = ''] = await mailboxesOf(world, 1, 5);
    const sequence = await sequenceOf(world, [mailbox]);
    await enrolIn(world, sequence, { contact_ids: await addConsented(world, 1) });
    const path = `/workspaces/{ws}/email-infrastructure/mailboxes/${mailbox}`;
    const refused = await call('DELETE', path);
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({ planned: 1, enrolments: 1, sequences: 1 });
    expect(refused.body.detail).toContain('is_active');
    const { provider_id } = (await world.call('GET', path)).body;
    const provider = await call('DELETE', `/workspaces/{ws}/email-infrastructure/providers/${provider_id}`);
    expect([provider.status, provider.body.detail]).toEqual([409, expect.stringContaining('mailbox')]);
    await world.call('POST', `/workspaces/{ws}/sequences/${sequence}/pause`);
    await world.call('DELETE', `/workspaces/{ws}/sequences/${sequence}`);
    expect((await rows(sequence)).map((row) => row.status)).toEqual(['CANCELLED']);
    expect((await call('DELETE', path)).status).toBe(204);
  });

  test('follows another window at once', async () => {
    const [mailbox = ''] = await mailboxesOf(world, 1, 5);
    const sequence = await sequenceOf(world, [mailbox]);
    await enrolIn(world, sequence, { contact_ids: await addConsented(world, 1) });
    await world.call('PATCH', `/workspaces/{ws}/sequences/${sequence}`, { send_window: { ...WINDOW, start: '13:00' } });
    await plan(world);
    expect((await rows(sequence)).map((row) => row.not_before.toISOString())).toEqual(['2027-01-18T12:00:00.000Z']);
  });

  test('goes in its mailbox’s own window, in plan, schedule and forecast; a change of it gives other slots', async () => {
    const [own = '', plain = ''] = await mailboxesOf(world, 2, 4);
    const path = `/workspaces/{ws}/email-infrastructure/mailboxes/${own}`;
    const send_window = { start: '13:00', end: '15:00', timezone: 'Europe/Berlin', weekdays: [1, 2, 3, 4, 5] };
    expect((await world.call('PATCH', path, { send_window })).body).toMatchObject({ send_window });
    const sequence = await sequenceOf(world, [own, plain]);
    const audience_id = await audienceOf(world, await addConsented(world, 8));
    const forecast = `/workspaces/{ws}/sequences/${sequence}/forecast`;
    const { parts } = (await world.call('POST', forecast, { days: 1, audience_id })).body;
    await enrolIn(world, sequence, { audience_id });
    expect((await plan(world)).planned).toBe(8);
    const times = async (mailbox: string) =>
      (await schedule(mailbox)).mails.map((mail: { slot_at: string }) => mail.slot_at.slice(11, 16));
    expect(await times(own)).toEqual(['12:00', '12:30', '13:00', '13:30']);
    expect(await times(plain)).toEqual(['08:00', '10:00', '12:00', '14:00']);
    expect(await schedule(own)).toMatchObject({ send_window, reserved: 4 });
    expect(await schedule(plain)).toMatchObject({ send_window: null });
    expect(parts).toMatchObject([
      { mails: 8, first_at: '2027-01-18T08:00:00.000Z', last_at: '2027-01-18T14:00:00.000Z' },
    ]);
    const { body } = await world.call('PATCH', path, { send_window: { ...send_window, start: '14:00' } });
    expect(body).toMatchObject({ reserved: 0 });
    await plan(world);
    expect(await times(own)).toEqual(['13:00', '13:15', '13:30', '13:45']);
    await world.call('PATCH', path, { send_window: null });
    await plan(world);
    expect(await times(own)).toEqual(['08:00', '10:00', '12:00', '14:00']);
  });

  test('goes in the contact’s window where its zone is known', async () => {
    const [mailbox = ''] = await mailboxesOf(world, 1, 5);
    const sequence = await sequenceOf(world, [mailbox]);
    const [contact] = await addConsented(world, 1);
    await api.db.query(sql`UPDATE contacts SET time_zone = 'America/New_York' WHERE id = ${contact}`);
    await enrolIn(world, sequence, { contact_ids: [contact] });
    expect((await rows(sequence)).map((row) => row.not_before.toISOString())).toEqual(['2027-01-18T14:00:00.000Z']);
  });
});

test('a quota that is used up before 60 % of its window has passed raises an alert, which ends with the day', async () => {
  const [mailbox = ''] = await mailboxesOf(world, 1, 2);
  const sequence = await sequenceOf(world, [mailbox]);
  await setClock(api, '2027-01-18T09:30:00+01:00');
  await enrolIn(world, sequence, { contact_ids: await addConsented(world, 2) });
  await settlePlanned(world, sequence);
  // Without a plan: by the watchdog's round, which tells it once.
  await alertEarlyQuotasAnywhere(api.db);
  await alertEarlyQuotasAnywhere(api.db);
  await setGauges(api.db);
  const metrics = await metricsRegistry.metrics();
  expect(metrics).toContain(`sally_mailbox_mails{mailbox_id="${mailbox}",state="sent"} 2`);
  expect(metrics).toContain(`sally_mailbox_mails{mailbox_id="${mailbox}",state="quota"} 2`);
  const alerts = () =>
    many(
      api.db,
      sql`SELECT cause, occurrences, details, resolved_at FROM alerts WHERE workspace_id = ${world.workspace.id} AND kind = 'mailbox-quota-early'`,
    );
  expect(await alerts()).toMatchObject([
    { cause: mailbox, occurrences: 1, details: { used: 2, quota: 2 }, resolved_at: null },
  ]);
  await plan(world);
  expect(await alerts()).toMatchObject([{ resolved_at: null }]);
  await setClock(api, '2027-01-19T00:10:00+01:00');
  await plan(world);
  expect(await alerts()).toMatchObject([{ resolved_at: expect.any(Date) }]);
});

test('the forecast is what then happens, day by day', async () => {
  const sequence = await sequenceOf(world, await mailboxesOf(world, 2, 7), [0, 2, 1]);
  const people = await addConsented(world, 25);
  const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', null];
  for (const [n, contact] of people.entries()) {
    await api.db.query(sql`UPDATE contacts SET time_zone = ${zones[n % zones.length]} WHERE id = ${contact}`);
  }
  const audience_id = await audienceOf(world, people);
  const path = `/workspaces/{ws}/sequences/${sequence}/forecast`;
  const before = (await world.call('POST', path, { days: 12, audience_id })).body;
  expect(before.waiting).toEqual({});
  await enrolIn(world, sequence, { audience_id });
  await world.contact().then((contact) => enrolIn(world, sequence, { contact_ids: [contact] }));
  const enrolled = (await world.call('POST', path, { days: 12 })).body;
  expect(enrolled.waiting).toEqual({ CONSENT_MISSING: 1 });
  type Part = { date: string; step_number: number; mails: number };
  const counts = (parts: Part[]) =>
    Object.fromEntries(parts.map((part) => [`${part.date} step-${part.step_number}`, part.mails]));
  expect(counts(enrolled.parts)).toEqual(counts(before.parts));
  // The same days in reality: some of the ticks of each day, and each mail accepted at its slot.
  const happened = new Map<string, number>();
  for (let n = 0; n < 12; n += 1) {
    for (const time of ['00:05', '08:35', '16:50', '22:55']) {
      await setClock(api, `2027-01-${18 + n}T${time}:00+01:00`);
      await api.db.query(sql`UPDATE deliveries d SET status = 'SENT', sent_at = d.not_before, claim_id = gen_random_uuid()
        FROM sequence_enrolments e
        WHERE e.id = d.source_id AND e.sequence_id = ${sequence} AND d.status = 'QUEUED' AND d.not_before <= sally_now()`);
      await plan(world);
    }
  }
  for (const row of await rows(sequence)) {
    const key = `${row.mailbox_date} ${row.step_key}`;
    happened.set(key, (happened.get(key) ?? 0) + 1);
  }
  expect(counts(before.parts)).toEqual(Object.fromEntries(happened));
  expect([...happened.values()].reduce((sum, mails) => sum + mails, 0)).toBe(75);
});

describe('bad input', () => {
  const problem = async (method: string, path: string, body: unknown) => {
    const answer = await call(method, path, body);
    return [answer.status, answer.body.errors?.[0]?.pointer ?? answer.body.detail];
  };

  test('is refused with the place, or says what to do', async () => {
    const [mailbox = ''] = await mailboxesOf(world, 1, 5);
    const sequences = '/workspaces/{ws}/sequences';
    const good = { name: 'S', send_window: WINDOW };
    const window = (change: object) => ({ ...good, send_window: { ...WINDOW, ...change } });
    expect(await problem('POST', sequences, window({ start: '17:00', end: '09:00' }))).toEqual([
      422,
      '/body/send_window/end',
    ]);
    expect(await problem('POST', sequences, window({ end: '09:00' }))).toEqual([422, '/body/send_window/end']);
    expect(await problem('POST', sequences, window({ timezone: 'Mars/Olympus' }))).toEqual([
      422,
      '/body/send_window/timezone',
    ]);
    expect(await problem('POST', sequences, window({ weekdays: [] }))).toEqual([422, '/body/send_window/weekdays']);
    expect(await problem('POST', sequences, { ...good, purpose: 'nothing' })).toEqual([422, '/body/purpose']);
    const stranger = '01900000-0000-7000-8000-000000000000';
    expect(await problem('POST', sequences, { ...good, mailbox_ids: [stranger] })).toEqual([
      422,
      '/body/mailbox_ids/0',
    ]);
    const steps = [{ wait_days: 0, template_id: stranger }];
    expect(await problem('POST', sequences, { ...good, steps })).toEqual([422, '/body/steps/0/template_id']);
    const mailboxes = '/workspaces/{ws}/email-infrastructure/mailboxes';
    expect(await problem('POST', mailboxes, { email: 'a@b.example', provider_id: stranger, daily_quota: 5 })).toEqual([
      422,
      '/body/provider_id',
    ]);
    expect(await problem('PATCH', `${mailboxes}/${mailbox}`, { daily_quota: 0 })).toEqual([422, '/body/daily_quota']);
    const ofMailbox = (change: object) => ({ send_window: { ...WINDOW, ...change } });
    for (const [field, change] of [
      ['end', { start: '17:00', end: '09:00' }],
      ['end', { end: '09:00' }],
      ['timezone', { timezone: 'Mars/Olympus' }],
      ['weekdays', { weekdays: [] }],
    ] as const) {
      const refused = await problem('PATCH', `${mailboxes}/${mailbox}`, ofMailbox(change));
      expect(refused).toEqual([422, `/body/send_window/${field}`]);
    }
    expect(await problem('POST', sequences, { ...good, reenrol_after_days: -1 })).toEqual([
      422,
      '/body/reenrol_after_days',
    ]);
    const email = (await world.call('GET', `${mailboxes}/${mailbox}`)).body.email;
    const twice = { email, provider_id: await aProvider(world), daily_quota: 5 };
    expect(await problem('POST', mailboxes, twice)).toEqual([409, '/body/email']);

    const empty = (await world.call('POST', sequences, { ...good, mailbox_ids: [mailbox] })).body.id;
    expect(await problem('POST', `${sequences}/${empty}/activate`, undefined)).toEqual([
      409,
      expect.stringContaining('no steps'),
    ]);
    expect(await problem('POST', `${sequences}/${empty}/submit`, undefined)).toEqual([422, '/body/steps']);
    expect(await problem('POST', `${sequences}/${empty}/enrolments`, { contact_ids: [stranger] })).toEqual([
      409,
      expect.stringContaining('Activate'),
    ]);
    const active = await sequenceOf(world, [mailbox]);
    expect(await problem('POST', `${sequences}/${active}/enrolments`, { contact_ids: [stranger] })).toEqual([
      422,
      '/body/contact_ids/0',
    ]);
    expect(await problem('POST', `${sequences}/${active}/enrolments`, {})).toEqual([422, '/body/contact_ids']);
    expect(await problem('PATCH', `${sequences}/${active}`, { mailbox_ids: [] })).toEqual([
      409,
      expect.stringContaining('Pause'),
    ]);
    expect(await problem('DELETE', `${sequences}/${active}`, undefined)).toEqual([
      409,
      expect.stringContaining('Pause'),
    ]);
  });

  test('an edit takes approvals back; a change of waits alone does not', async () => {
    const [mailbox = ''] = await mailboxesOf(world, 1, 5);
    const sequence = await sequenceOf(world, [mailbox], [0, 1]);
    const path = `/workspaces/{ws}/sequences/${sequence}`;
    await world.call('POST', `${path}/pause`);
    const { steps } = (await world.call('GET', path)).body;
    const same = steps.map((step: { template_id: string }, n: number) => ({
      template_id: step.template_id,
      wait_days: n * 3,
    }));
    expect((await world.call('PATCH', path, { steps: same })).body.steps).toMatchObject([
      { approval: 'APPROVED', wait_days: 0 },
      { approval: 'APPROVED', wait_days: 3 },
    ]);
    const other = (await exampleTemplate(world)).id;
    const edited = [same[0], { template_id: other, wait_days: 1 }];
    expect((await world.call('PATCH', path, { steps: edited })).body.steps).toMatchObject([
      { approval: null },
      { approval: null },
    ]);
    expect(await problem('POST', `${path}/activate`, undefined)).toEqual([409, expect.stringContaining('step 1, 2')]);
    await approveSteps(world, sequence);
    await world.call('POST', `${path}/activate`);
  });
});
