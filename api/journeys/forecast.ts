import { audienceSize, forecastInput, mailboxesOfDay, planLock, workspaceDate } from '../../db/journeys';
import { forecast } from '../../domain/journeys';
import { invalidField, Problem } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { id, moment, problemDocument, z } from '../http/schemas';
import { ONE, params, requireSequence, TAG } from './shared';

/** Enrolments that one forecast walks; it is calculated while the client waits. */
const MOST = 5_000;

const document = z
  .object({
    sequence_id: z.uuid(),
    from: moment,
    days: z.number().int(),
    parts: z
      .array(
        z.object({
          step_number: z.number().int(),
          date: z.iso.date(),
          mails: z.number().int(),
          first_at: moment,
          last_at: moment,
        }),
      )
      .openapi({ description: 'Mails that are not planned yet, by step and workspace-local date.' }),
    waiting: z
      .record(z.string(), z.number().int())
      .openapi({ description: 'Enrolments whose next step finds no slot until the end, by what blocks it.' }),
  })
  .openapi('SequenceForecast');

const route = defineRoute({
  operationId: 'forecastSequence',
  method: 'post',
  path: `${ONE}/forecast`,
  tag: TAG,
  summary: 'Says when each step will go out, and what blocks it',
  description:
    'Walks the coming days with the planner itself, with all active sequences on the same mailboxes, as if every mail ' +
    'were accepted at its slot and this sequence were active. With `audience_id` also as if its members were enrolled ' +
    `now. For at most ${MOST} enrolments.`,
  access: 'workspace',
  permission: 'campaigns:read',
  readOnly: true,
  params,
  body: z
    .strictObject({ days: z.number().int().min(1).max(60), audience_id: id })
    .partial()
    .optional(),
  responses: {
    200: { description: 'The forecast', schema: document },
    409: { description: 'Too many enrolments', schema: problemDocument },
  },
  async handle(context, { params: { sequence_id }, body }) {
    const { tx, workspaceId } = context;
    await requireSequence(context, sequence_id);
    const audienceId = body?.audience_id ?? null;
    if (audienceId !== null && (await audienceSize(tx, workspaceId, audienceId)) === null) {
      throw invalidField('audience_id', 'No audience with this id exists.');
    }
    await planLock(tx, workspaceId);
    const { date, zone, now } = await workspaceDate(tx, workspaceId);
    const input = await forecastInput(tx, workspaceId, { sequenceId: sequence_id, audienceId }, MOST);
    if (input.tooMany) throw new Problem('conflict', `More than ${MOST} enrolments would have to be walked through.`);
    const days = body?.days ?? 14;
    const mailboxes = await mailboxesOfDay(tx, workspaceId, date);
    const { mails, waiting } = forecast(now, zone, days, mailboxes, input.enrolments);
    const blocked: Record<string, number> = {};
    const block = (reason: string, count: number) => {
      if (count > 0) blocked[reason] = (blocked[reason] ?? 0) + count;
    };
    for (const one of waiting) if (one.sequenceId === sequence_id) block(one.reason, 1);
    block('CONSENT_MISSING', input.withoutConsent);
    block('UNCONFIRMED', input.unconfirmed);
    const parts = partsOf(mails.filter((mail) => mail.sequenceId === sequence_id));
    return { status: 200, body: { sequence_id, from: now.toISOString(), days, parts, waiting: blocked } };
  },
});

function partsOf(mails: readonly { stepNumber: number; date: string; at: Date }[]) {
  const parts = new Map<string, { step_number: number; date: string; times: number[] }>();
  for (const { stepNumber, date, at } of mails) {
    const key = `${date} ${stepNumber}`;
    const part = parts.get(key) ?? { step_number: stepNumber, date, times: [] };
    part.times.push(at.getTime());
    parts.set(key, part);
  }
  return [...parts.values()].map(({ step_number, date, times }) => ({
    step_number,
    date,
    mails: times.length,
    first_at: new Date(Math.min(...times)).toISOString(),
    last_at: new Date(Math.max(...times)).toISOString(),
  }));
}

export const sequenceForecastRoutes: AnyRoute[] = [route];
