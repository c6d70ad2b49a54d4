import { type CampaignRow, type CampaignStats, stateOf } from '../../db/campaigns';
import { CAMPAIGN_STATES, sendWindowProblems } from '../../domain/campaigns';
import { normaliseEmail } from '../../domain/contacts';
import { headerTextProblem } from '../../domain/content';
import { ROUTING_STRATEGIES } from '../../domain/senders';
import { maybeConditions } from '../audiences';
import { bodyTemplate, contextValues, subjectTemplate, warning } from '../content';
import { headerText, id, moment, plainText, workflowReference, z } from '../http/schemas';

const key = z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must be a key of lower-case letters, digits, _ and -');

/** An address for a header: bare, normalised. */
export const senderAddress = z
  .string()
  .max(1_000)
  .transform((value, context) => {
    const normalised = normaliseEmail(value);
    if (normalised.ok) return normalised.email;
    context.addIssue({ code: 'custom', message: normalised.message });
    return z.NEVER;
  })
  .openapi({ type: 'string', format: 'email' });

/** A display name for a header. */
export const senderName = headerText(200).superRefine((value, context) => {
  const problem = headerTextProblem(value);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});

const sendWindow = z
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
  })
  .openapi({
    description:
      'Per-day window in local time, HH:MM; an end before the start lies on the next day. `weekdays`: ISO days on which ' +
      'a window begins, 1 (Monday) to 7.',
    example: { start: '09:00', end: '17:00', timezone: 'Europe/Berlin' },
  });

const audienceIds = z
  .array(id)
  .max(100)
  .refine((ids) => new Set(ids).size === ids.length, 'lists an audience twice');

const routingConfig = z
  .strictObject({
    strategy: z.enum(ROUTING_STRATEGIES).optional(),
    preferred_providers: z
      .array(id)
      .max(20)
      .refine((ids) => new Set(ids).size === ids.length, 'lists a provider twice')
      .optional(),
    fallback_enabled: z.boolean().optional(),
  })
  .openapi({
    description:
      '`strategy` in the place of the pool’s; `preferred_providers` come first, in their order; without ' +
      '`fallback_enabled` (default true) what the first choice does not take waits for it.',
  });

const fields = {
  name: headerText(255).min(1),
  description: plainText(5_000),
  campaign_type: z.literal('ONE_TIME').openapi({ description: 'The only type there is.' }),
  channel: z.literal('email').openapi({ description: 'The only channel there is.' }),
  goals: z.array(plainText(500)).max(20),
  tags: z.array(headerText(50).min(1)).max(50),
  notes: plainText(20_000),
  template_id: id.nullable().openapi({ description: 'A template; or content of the campaign’s own.' }),
  subject_template: subjectTemplate.nullable(),
  body_html: bodyTemplate.nullable(),
  body_text: bodyTemplate.nullable().openapi({ description: 'Derived from the HTML when absent.' }),
  preview_text: subjectTemplate.nullable(),
  template_context: contextValues,
  from_name: senderName.nullable(),
  from_email: senderAddress.nullable(),
  reply_to: senderAddress.nullable(),
  sending_pool_id: id
    .nullable()
    .openapi({ description: 'A sending pool; null = the workspace’s default one, if any.' }),
  sending_identity_id: id.nullable().openapi({ description: 'Who it is from, in the place of from_email.' }),
  routing_config: routingConfig.nullable(),
  category: key.nullable().openapi({ description: 'Key of a preference category; who left it gets nothing.' }),
  purpose: key.nullable().openapi({ description: 'Key of the purpose whose consent is needed. Default: newsletter.' }),
  audiences: z.strictObject({ include: audienceIds.default([]), exclude: audienceIds.default([]) }),
  all_consented: z.boolean().openapi({ description: 'All contacts with a granted consent, instead of audiences.' }),
  audience_conditions: maybeConditions.openapi({
    description:
      'Conditions that narrow the audiences, or all contacts where nothing is included. Approved with the message; judged when the run begins.',
  }),
  send_window: sendWindow.nullable(),
  tracking: z.boolean().openapi({ description: 'Opens and clicks.' }),
  expires_at: moment.nullable().openapi({ description: 'What has not been sent by then fails.' }),
};

export const newCampaign = z.strictObject({ ...z.object(fields).partial().shape, name: fields.name });
export const campaignChange = z.strictObject(fields).partial();
export type CampaignInput = z.output<typeof campaignChange>;

const count = z.number().int();

export const campaignDocument = z
  .object({
    id: z.uuid(),
    name: z.string(),
    description: z.string(),
    campaign_type: z.literal('ONE_TIME'),
    channel: z.literal('email'),
    status: z.enum(CAMPAIGN_STATES),
    stop_reason: z
      .string()
      .nullable()
      .openapi({ description: 'Why Sally itself stopped it: APPROVAL_VOID, AUDIENCE_CHANGED, AUDIENCE_UNAVAILABLE.' }),
    goals: z.array(z.string()),
    tags: z.array(z.string()),
    notes: z.string(),
    template_id: z.uuid().nullable(),
    subject_template: z.string().nullable(),
    body_html: z.string().nullable(),
    body_text: z.string().nullable(),
    preview_text: z.string().nullable(),
    template_context: z.record(z.string(), z.unknown()),
    from_name: z.string().nullable(),
    from_email: z.string().nullable(),
    reply_to: z.string().nullable(),
    sending_pool_id: z.uuid().nullable(),
    sending_identity_id: z.uuid().nullable(),
    routing_config: routingConfig.nullable(),
    category: z.string().nullable(),
    purpose: z.string().nullable(),
    audiences: z.object({ include: z.array(z.uuid()), exclude: z.array(z.uuid()) }),
    all_consented: z.boolean(),
    audience_conditions: maybeConditions,
    send_window: z
      .object({ start: z.string(), end: z.string(), timezone: z.string(), weekdays: z.array(z.number()).optional() })
      .nullable(),
    tracking: z.boolean(),
    expires_at: moment.nullable(),
    approval: z
      .object({ message_id: z.uuid(), state: z.enum(['SUBMITTED', 'APPROVED', 'REJECTED', 'VOIDED', 'NONE']) })
      .nullable()
      .openapi({ description: 'Of the message submitted last; null before the first submission.' }),
    run_id: z.uuid().nullable(),
    scheduled_at: moment.nullable(),
    started_at: moment.nullable(),
    completed_at: moment.nullable(),
    total_recipients: count,
    sent_count: count,
    delivered_count: count.openapi({ description: 'Needs events of providers; 0 until they are received.' }),
    open_count: count.openapi({ description: 'Opens and clicks leave out machines.' }),
    unique_open_count: count,
    click_count: count,
    unique_click_count: count,
    bounce_count: count.openapi({ description: 'Needs events of providers; 0 until they are received.' }),
    unsubscribe_count: count,
    complaint_count: count.openapi({ description: 'Needs events of providers; 0 until they are received.' }),
    pending_count: count,
    failed_count: count,
    unconfirmed_count: count,
    cancelled_count: count,
    version: count,
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Campaign');

export const savedCampaign = campaignDocument.extend({ warnings: z.array(warning) });
export const startedCampaign = campaignDocument.extend({ workflow: workflowReference });

export function toCampaign(row: CampaignRow, stats: CampaignStats | undefined) {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    campaign_type: 'ONE_TIME' as const,
    channel: 'email' as const,
    status: stateOf(row),
    stop_reason: row.run_stop_reason,
    goals: row.goals,
    tags: row.tags,
    notes: row.notes,
    template_id: row.template_id,
    subject_template: row.subject,
    body_html: row.html,
    body_text: row.text,
    preview_text: row.preview_text,
    template_context: row.template_context,
    from_name: row.from_name,
    from_email: row.from_email,
    reply_to: row.reply_to,
    sending_pool_id: row.sending_pool_id,
    sending_identity_id: row.sending_identity_id,
    routing_config: row.routing_config,
    category: row.category_key,
    purpose: row.purpose_key,
    audiences: { include: row.include_audiences, exclude: row.exclude_audiences },
    all_consented: row.all_consented,
    audience_conditions: row.audience_conditions,
    send_window: row.send_window,
    tracking: row.tracking,
    expires_at: row.expires_at?.toISOString() ?? null,
    approval: row.last_message_id && row.approval ? { message_id: row.last_message_id, state: row.approval } : null,
    run_id: row.run_id,
    scheduled_at: row.scheduled_at?.toISOString() ?? null,
    started_at: row.started_at?.toISOString() ?? null,
    completed_at: row.completed_at?.toISOString() ?? null,
    total_recipients: stats?.total_recipients ?? 0,
    sent_count: stats?.sent ?? 0,
    delivered_count: 0,
    open_count: stats?.opens ?? 0,
    unique_open_count: stats?.unique_opens ?? 0,
    click_count: stats?.clicks ?? 0,
    unique_click_count: stats?.unique_clicks ?? 0,
    bounce_count: 0,
    unsubscribe_count: stats?.unsubscribes ?? 0,
    complaint_count: 0,
    pending_count: stats?.pending ?? 0,
    failed_count: stats?.failed ?? 0,
    unconfirmed_count: stats?.unconfirmed ?? 0,
    cancelled_count: stats?.cancelled ?? 0,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
