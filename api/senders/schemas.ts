import type { ProviderRow } from '../../db/senders';
import {
  MAILGUN,
  newSmtpSettings,
  POSTMARK,
  PROVIDER_TYPES,
  SENDGRID,
  SES,
  smtpCredentialsChange,
  smtpSettings,
} from '../../domain/senders';
import { id, moment, pageOf, plainText, workflowReference, z } from '../http/schemas';

const name = plainText(200).trim().min(1);
const perSecond = z.int().min(1).max(100_000).nullable();
const perDay = z.int().min(1).max(2_147_483_647).nullable();
const priority = z.int().min(1).max(100);

export const providerParams = z.strictObject({ provider_id: id });

const common = {
  name,
  max_sends_per_second: perSecond.optional(),
  max_sends_per_day: perDay.optional(),
  max_sends_per_24_hours: perDay.optional(),
  priority: priority.optional(),
  is_default: z.boolean().optional(),
  is_active: z.boolean().optional(),
};

/** A new provider of each type; what is left out of settings takes its default. */
export const newProvider = z.discriminatedUnion(
  'provider_type',
  [
    z.strictObject({
      ...common,
      provider_type: z.literal('SMTP'),
      settings: newSmtpSettings,
      credentials: smtpCredentialsChange.optional(),
    }),
    z.strictObject({
      ...common,
      provider_type: z.literal('SES'),
      settings: SES.settings.partial().required({ region: true }),
      credentials: SES.credentials,
    }),
    z.strictObject({
      ...common,
      provider_type: z.literal('SENDGRID'),
      settings: SENDGRID.settings.partial().optional(),
      credentials: SENDGRID.credentials,
    }),
    z.strictObject({
      ...common,
      provider_type: z.literal('MAILGUN'),
      settings: MAILGUN.settings.partial().required({ domain: true }),
      credentials: MAILGUN.credentials,
    }),
    z.strictObject({
      ...common,
      provider_type: z.literal('POSTMARK'),
      settings: POSTMARK.settings.partial().optional(),
      credentials: POSTMARK.credentials,
    }),
  ],
  { error: (issue) => (issue.code === 'invalid_union' ? `must be one of ${PROVIDER_TYPES.join(', ')}` : undefined) },
);

/** Some fields of the settings or credentials that the provider's type has; which, is known when it is read. */
const someFields = z.record(z.string(), z.unknown());

export const providerChange = z
  .strictObject({
    name,
    settings: someFields,
    credentials: someFields,
    max_sends_per_second: perSecond,
    max_sends_per_day: perDay,
    max_sends_per_24_hours: perDay,
    priority,
    is_default: z.boolean(),
    is_active: z.boolean(),
  })
  .partial();

const breaker = z.object({
  state: z.enum(['CLOSED', 'OPEN', 'HALF_OPEN']),
  reason: z.string().nullable(),
  opened_at: moment.nullable(),
  probe_at: moment.nullable(),
});

export const provider = z
  .object({
    id,
    name: z.string(),
    provider_type: z.enum(PROVIDER_TYPES),
    settings: z.union([smtpSettings, SES.settings, SENDGRID.settings, MAILGUN.settings, POSTMARK.settings]),
    max_sends_per_second: z.int().nullable(),
    max_sends_per_day: z.int().nullable(),
    max_sends_per_24_hours: z.int().nullable().openapi({ description: 'In any rolling 24 hours; null = unlimited.' }),
    current_daily_sends: z
      .int()
      .openapi({ description: 'Messages begun on the local day. Counted while a daily limit is set.' }),
    daily_sends_reset_at: moment,
    priority: z.int(),
    is_default: z.boolean(),
    is_active: z.boolean(),
    last_check_at: moment.nullable(),
    last_check_status: z.enum(['OK', 'FAILED']).nullable(),
    last_error: z.string().nullable(),
    breaker,
    version: z.int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('EmailProvider');

export const providerPage = pageOf(provider);

export const startedCheck = z.object({ job_id: id, workflow: workflowReference });

export const resetAnswer = z.object({ breaker });

/** The provider as it is shown: no credentials, not even whether there are any. */
export function showProvider(row: ProviderRow): z.input<typeof provider> {
  return {
    id: row.id,
    name: row.name,
    provider_type: row.provider_type,
    settings: row.settings,
    max_sends_per_second: row.max_sends_per_second,
    max_sends_per_day: row.max_sends_per_day,
    max_sends_per_24_hours: row.max_sends_per_24_hours,
    current_daily_sends: row.current_daily_sends,
    daily_sends_reset_at: row.daily_sends_reset_at.toISOString(),
    priority: row.priority,
    is_default: row.is_default,
    is_active: row.is_active,
    last_check_at: row.last_check_at?.toISOString() ?? null,
    last_check_status: row.last_check_status,
    last_error: row.last_error,
    breaker: {
      state: row.breaker_state,
      reason: row.breaker_reason,
      opened_at: row.breaker_opened_at?.toISOString() ?? null,
      probe_at: row.breaker_probe_at?.toISOString() ?? null,
    },
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** What the audit log keeps of a provider: what an operator can set, without the secrets. */
export function auditedProvider(row: ProviderRow): Record<string, unknown> {
  const {
    name,
    settings,
    max_sends_per_second,
    max_sends_per_day,
    max_sends_per_24_hours,
    priority,
    is_default,
    is_active,
  } = row;
  return {
    name,
    settings,
    max_sends_per_second,
    max_sends_per_day,
    max_sends_per_24_hours,
    priority,
    is_default,
    is_active,
  };
}
