import type { EnrolmentRow, SequenceRow } from '../../db/journeys';
import { sendWindowProblems } from '../../domain/campaigns';
import { ENROLMENT_STATUSES, SEQUENCE_STATUSES } from '../../domain/journeys';
import { contextValues } from '../content';
import { headerText, id, moment, plainText, z } from '../http/schemas';

const key = z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must be a key of lower-case letters, digits, _ and -');

export const sendWindow = z
  .strictObject({
    start: z.string().max(5),
    end: z.string().max(5),
    timezone: z.string().max(64),
    weekdays: z.array(z.number().int()).max(7).optional(),
  })
  .superRefine((window, context) => {
    for (const { field, message } of sendWindowProblems(window)) {
      context.addIssue({ code: 'custom', path: [field], message });
    }
    // A quota belongs to a day: a window over midnight would spread a mailbox's mails over two of them.
    if (window.end < window.start)
      context.addIssue({ code: 'custom', path: ['end'], message: 'must be later than start' });
  })
  .openapi({
    description:
      'Local times, HH:MM; `end` is later than `start`. `weekdays`: ISO days, 1 (Monday) to 7. On a date on which the ' +
      'change of clocks skips all of it, nothing is sent.',
    example: { start: '09:00', end: '17:00', timezone: 'Europe/Berlin', weekdays: [1, 2, 3, 4, 5] },
  });

const step = z.strictObject({
  wait_days: z.number().int().min(0).max(365).openapi({
    description: 'Local calendar days after the step before was accepted; for the first: after enrolling.',
  }),
  template_id: id,
  template_context: contextValues.default({}),
});

const fields = {
  name: headerText(255).min(1),
  description: plainText(10_000),
  send_window: sendWindow,
  use_contact_time_zone: z
    .boolean()
    .openapi({ description: 'The window is in the contact’s zone where that is known (default), else in its own.' }),
  several_per_day: z
    .boolean()
    .openapi({ description: 'Default false: a contact gets at most one mail of all sequences per local day.' }),
  reenrol_after_days: z
    .number()
    .int()
    .min(0)
    .max(3_650)
    .nullable()
    .openapi({
      description:
        'How many days after the end of an enrolment the same person may be enrolled again; null (default) = never. ' +
        'Nobody is in a sequence twice at a time.',
    }),
  purpose: key,
  category: key.nullable(),
  goal_audience_id: id
    .nullable()
    .openapi({ description: 'Whoever becomes a member of this audience has reached the goal, and gets no more mail.' }),
  tracking: z.boolean(),
  mailbox_ids: z
    .array(id)
    .max(1_000)
    .refine((ids) => new Set(ids).size === ids.length, 'lists a mailbox twice'),
  steps: z.array(step).max(50).openapi({ description: 'In order; numbered from 1.' }),
};

export const newSequence = z.strictObject({
  ...z.object(fields).partial().shape,
  name: fields.name,
  send_window: fields.send_window,
});
export const sequenceChange = z.strictObject(fields).partial();
export type SequenceInput = z.output<typeof sequenceChange>;

export const shownWindow = z.object({
  start: z.string(),
  end: z.string(),
  timezone: z.string(),
  weekdays: z.array(z.number().int()).optional(),
});

export const sequenceDocument = z
  .object({
    id: z.uuid(),
    name: z.string(),
    description: z.string(),
    status: z.enum(SEQUENCE_STATUSES),
    send_window: shownWindow,
    use_contact_time_zone: z.boolean(),
    several_per_day: z.boolean(),
    reenrol_after_days: z.number().int().nullable(),
    purpose: z.string(),
    category_id: z.uuid().nullable(),
    goal_audience_id: z.uuid().nullable(),
    tracking: z.boolean(),
    mailbox_ids: z.array(z.uuid()),
    steps: z.array(
      z.object({
        step_number: z.number().int(),
        wait_days: z.number().int(),
        template_id: z.uuid(),
        template_context: z.record(z.string(), z.unknown()),
        message_id: z.uuid().nullable(),
        approval: z
          .string()
          .nullable()
          .openapi({ description: 'State of the frozen message; null = not submitted, or edited since.' }),
      }),
    ),
    enrolments: z
      .object({
        active: z.number().int(),
        completed: z.number().int(),
        stopped: z.number().int(),
        failed: z.number().int(),
      })
      .openapi({ description: 'Enrolments by status.' }),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Sequence');

export function showSequence(row: SequenceRow) {
  const { name, description, status, send_window, use_contact_time_zone, several_per_day, category_id } = row;
  const { reenrol_after_days, goal_audience_id, tracking, mailbox_ids, version } = row;
  const count = (of: string) => row.enrolments[of] ?? 0;
  return {
    ...{ id: row.id, name, description, status, send_window, use_contact_time_zone, several_per_day },
    ...{
      reenrol_after_days,
      purpose: row.purpose_key,
      category_id,
      goal_audience_id,
      tracking,
      mailbox_ids,
      steps: row.steps,
    },
    enrolments: {
      active: count('ACTIVE'),
      completed: count('COMPLETED'),
      stopped: count('STOPPED'),
      failed: count('FAILED'),
    },
    version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

export const enrolmentDocument = z
  .object({
    id: z.uuid(),
    sequence_id: z.uuid(),
    contact_id: z.uuid(),
    status: z.enum(ENROLMENT_STATUSES),
    stop_reason: z.string().nullable(),
    step_number: z.number().int().openapi({ description: 'The step that was planned last; 0 = none yet.' }),
    mailbox_id: z.uuid().nullable(),
    due_at: moment.nullable().openapi({
      description: 'From when on the next step may be planned; null while a mail is planned or unconfirmed.',
    }),
    mail: z
      .object({ status: z.string(), slot_at: moment, sent_at: moment.nullable() })
      .nullable()
      .openapi({ description: 'The mail of `step_number`. UNCONFIRMED holds the enrolment until it is settled.' }),
    enrolled_at: moment,
    ended_at: moment.nullable(),
  })
  .openapi('Enrolment');

export function showEnrolment(row: EnrolmentRow) {
  const { sequence_id, contact_id, status, stop_reason, step_number, mailbox_id } = row;
  return {
    ...{ id: row.id, sequence_id, contact_id, status, stop_reason, step_number, mailbox_id },
    due_at: row.due_at?.toISOString() ?? null,
    mail:
      row.mail_status === null || row.slot_at === null
        ? null
        : { status: row.mail_status, slot_at: row.slot_at.toISOString(), sent_at: row.sent_at?.toISOString() ?? null },
    enrolled_at: row.enrolled_at.toISOString(),
    ended_at: row.ended_at?.toISOString() ?? null,
  };
}
