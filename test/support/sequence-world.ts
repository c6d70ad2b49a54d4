import { Client } from 'pg';
import { planWorkspace } from '../../db/journeys';
import { one, sql } from '../../platform/postgres';
import type { TestApi } from './api';
import type { World } from './examples';
import { exampleTemplate } from './examples/content';

export const WINDOW = { start: '09:00', end: '17:00', timezone: 'Europe/Berlin' };

/** For `setClock`: what counts by days meets no midnight then (UTC). */
export const noonToday = (): string => `${new Date().toISOString().slice(0, 10)}T12:00:00Z`;

/** Moves the clock of all rules to a moment; it goes on from there. */
export async function setClock(api: TestApi, moment: string): Promise<void> {
  const owner = new Client({ connectionString: api.database.ownerUrl });
  await owner.connect();
  try {
    await owner.query(
      `INSERT INTO test_clock (moved_by) VALUES ($1::timestamptz - clock_timestamp())
       ON CONFLICT (only_row) DO UPDATE SET moved_by = excluded.moved_by`,
      [moment],
    );
  } finally {
    await owner.end();
  }
}

/** A provider, one for all mailboxes of a workspace; its id. */
export async function aProvider(world: World, port = 25): Promise<string> {
  const { body } = await world.call('POST', '/workspaces/{ws}/email-infrastructure/providers', {
    name: `Relay ${world.unique()}`,
    provider_type: 'SMTP',
    settings: { host: '127.0.0.1', port },
    credentials: { username: 'sally', password: 'p4ssw0rd' },
  });
  return body.id;
}

export async function mailboxesOf(world: World, count: number, daily_quota: number, port?: number): Promise<string[]> {
  const provider_id = await aProvider(world, port);
  const made: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const body = {
      email: `seller${n}-${world.unique()}@mail.example`,
      display_name: `Seller ${n}`,
      provider_id,
      daily_quota,
    };
    made.push((await world.call('POST', '/workspaces/{ws}/email-infrastructure/mailboxes', body)).body.id);
  }
  return made;
}

/** A sequence that is approved and active, with a step for each wait; its id. */
export async function sequenceOf(
  world: World,
  mailbox_ids: string[],
  waits: number[] = [0, 2, 1],
  more: Record<string, unknown> = {},
): Promise<string> {
  const steps = [];
  for (const [n, wait_days] of waits.entries()) {
    const template = await exampleTemplate(world, {
      subject_template: `Step ${n + 1} for {{ first_name|default("you") }}`,
    });
    steps.push({ wait_days, template_id: template.id });
  }
  const body = { name: 'Welcome', send_window: WINDOW, mailbox_ids, steps, ...more };
  const { id } = (await world.call('POST', '/workspaces/{ws}/sequences', body)).body;
  await approveSteps(world, id);
  await world.call('POST', `/workspaces/{ws}/sequences/${id}/activate`);
  return id;
}

/** Submits a sequence and has its messages approved by somebody else. */
export async function approveSteps(world: World, sequenceId: string): Promise<void> {
  const { body } = await world.call('POST', `/workspaces/{ws}/sequences/${sequenceId}/submit`);
  for (const step of body.steps) {
    const path = `/workspaces/${world.workspace.id}/email-marketing/messages/${step.message_id}/approve`;
    const answer = await world.api.request('POST', path, { token: world.workspace.tokens.approver, body: {} });
    if (answer.status !== 200 && answer.status !== 409) throw new Error(answer.text);
  }
}

export const enrolIn = async (world: World, sequenceId: string, body: object) =>
  (await world.call('POST', `/workspaces/{ws}/sequences/${sequenceId}/enrolments`, body)).body;

/** The plan of a tick. */
export const plan = (world: World) => world.api.db.transaction((tx) => planWorkspace(tx, world.workspace.id));

/** What the delivery engine would do: planned mails of the sequence are accepted, or get another status. */
export async function settlePlanned(
  world: World,
  sequenceId: string,
  status = 'SENT',
  reason: string | null = null,
): Promise<number> {
  const row = await one<{ n: number }>(
    world.db,
    sql`WITH settled AS (
          UPDATE deliveries d SET status = ${status}, reason = ${reason}, claim_id = gen_random_uuid(),
            sent_at = CASE WHEN ${status} = 'SENT' THEN sally_now() END
          FROM sequence_enrolments e WHERE e.id = d.source_id AND e.sequence_id = ${sequenceId} AND d.status = 'QUEUED' RETURNING 1)
        SELECT count(*)::int AS n FROM settled`,
  );
  return row?.n ?? 0;
}
