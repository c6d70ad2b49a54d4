import {
  type CategoryRow,
  CONSENT_CHANNELS,
  type ConsentEventRow,
  type ConsentRow,
  type PurposeRow,
} from '../../db/consent';
import { FREQUENCIES, PAGE_LANGUAGES } from '../../domain/consent';
import { headerText, id, locale, moment, pageOf, plainText, z } from '../http/schemas';

const key = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must begin with a letter, then letters, digits, "-" and "_", all in lower case');
const name = headerText(200).min(1);
const wording = plainText(5_000).min(1);

export const purposeParams = z.object({ purpose_id: id });
export const newPurpose = z.strictObject({ key, name, kind: z.enum(['marketing', 'transactional']), wording });
export const purposeChange = z
  .strictObject({ name: name.optional(), wording: wording.optional() })
  .refine((change) => Object.keys(change).length > 0, 'Say what to change: name or wording.');

export const purpose = z.object({
  id,
  key: z.string(),
  name: z.string(),
  kind: z.enum(['marketing', 'transactional']),
  wording: z.string(),
  wording_version: z.number().int(),
  archived_at: moment.nullable(),
  version: z.number().int(),
  created_at: moment,
  updated_at: moment,
});
export const purposePage = pageOf(purpose);
export const wordingList = z.object({
  items: z.array(
    z.object({
      wording_version: z.number().int(),
      wording: z.string(),
      translations: z.record(z.string(), z.string()).openapi({ description: 'Locale → the same wording.' }),
      created_at: moment,
    }),
  ),
});
export const newTranslation = z.strictObject({
  wording_version: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .openapi({ description: 'Default: the current one.' }),
  locale,
  wording,
});

export function showPurpose(row: PurposeRow): z.output<typeof purpose> {
  return {
    ...row,
    archived_at: row.archived_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

const description = plainText(1_000);
const translation = z.strictObject({ name, description: description.optional() });
const translations = z
  .strictObject(Object.fromEntries(PAGE_LANGUAGES.map((language) => [language, translation.optional()])))
  .openapi({ description: 'Name and description by language of the preference page: en, de, fr.' });
export const newCategory = z.strictObject({
  key,
  name,
  description: description.default(''),
  translations: translations.default({}),
});
export const categoryChange = z
  .strictObject({
    name: name.optional(),
    description: description.optional(),
    translations: translations.optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'Say what to change: name, description or translations.');
export const categoryParams = z.object({ category_id: id });
export const category = z.object({
  id,
  key: z.string(),
  name: z.string(),
  description: z.string(),
  translations: z.record(z.string(), z.object({ name: z.string(), description: z.string().optional() })),
  version: z.number().int(),
  created_at: moment,
  updated_at: moment,
});
export const categoryPage = pageOf(category);

export function showCategory(row: CategoryRow): z.output<typeof category> {
  const translated = Object.entries(row.translations).flatMap(([language, texts]) =>
    texts ? [[language, texts]] : [],
  );
  return {
    ...row,
    translations: Object.fromEntries(translated),
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

export const frequency = z.enum(FREQUENCIES);
export const preferences = z
  .object({
    workspace: z.string().openapi({ description: 'Name of the sender.' }),
    status: z.enum(['ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED']),
    categories: z.array(
      z.object({
        key: z.string(),
        name: z.string(),
        description: z.string(),
        subscribed: z.boolean(),
        frequency,
        updated_at: moment.nullable().openapi({ description: 'Null: never changed.' }),
      }),
    ),
  })
  .openapi('Preferences');
export const preferenceChange = z.strictObject({
  categories: z
    .array(
      z
        .strictObject({ key, subscribed: z.boolean().optional(), frequency: frequency.optional() })
        .refine((choice) => choice.subscribed !== undefined || choice.frequency !== undefined, {
          message: 'Say subscribed, frequency or both.',
        }),
    )
    .min(1)
    .max(500)
    .refine((choices) => new Set(choices.map((choice) => choice.key)).size === choices.length, {
      message: 'A category is named twice.',
    }),
});

const consentStatus = z.enum(['granted', 'denied', 'pending']);

export const contactParams = z.object({ contact_id: id });
export const consentsQuery = z.strictObject({ as_of: moment.optional() });
export const consentParams = z.object({ contact_id: id, purpose_id: id });
export const consentChange = z.strictObject({
  status: z.enum(['granted', 'denied']),
  channel: z.enum(CONSENT_CHANNELS).default('email'),
  /** How it is known: `api` for a form of your own, `manual` for a telephone call or a sheet of paper. */
  source: z.enum(['api', 'manual']).default('api'),
  /** The wording that was shown; default the current one. */
  wording_version: z.number().int().min(1).optional(),
  locale: plainText(35).optional(),
  ip_address: z.union([z.ipv4(), z.ipv6()]).optional(),
  user_agent: headerText(500).optional(),
});

export const consent = z.object({
  purpose_id: id,
  purpose: z.string(),
  channel: z.string(),
  status: consentStatus,
  granted_at: moment.nullable(),
  revoked_at: moment.nullable(),
  source: z.string(),
  updated_at: moment,
});
export const consentList = z.object({ items: z.array(consent) });

export function showConsent({ purpose_key, ...row }: ConsentRow): z.output<typeof consent> {
  return {
    ...row,
    purpose: purpose_key,
    granted_at: row.granted_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
    updated_at: row.updated_at.toISOString(),
  };
}

export const consentEvent = z.object({
  id,
  purpose_id: id,
  purpose: z.string(),
  channel: z.string(),
  status: consentStatus,
  source: z.string(),
  wording_version: z.number().int().nullable(),
  wording: z.string().nullable(),
  locale: z.string().nullable(),
  ip_address: z.string().nullable(),
  user_agent: z.string().nullable(),
  opt_in_request_id: id.nullable(),
  import_job_id: id.nullable(),
  import_row: z.number().int().nullable(),
  actor_id: id.nullable(),
  occurred_at: moment,
});
export const consentEventPage = pageOf(consentEvent);

export function showConsentEvent({ purpose_key, ...row }: ConsentEventRow): z.output<typeof consentEvent> {
  return { ...row, purpose: purpose_key, occurred_at: row.occurred_at.toISOString() };
}

export const signUpParams = z.object({ ws: z.string().min(1).max(63) });
export const signUpBody = z.strictObject({
  email: plainText(1_024).min(1),
  first_name: headerText(200).optional(),
  last_name: headerText(200).optional(),
  locale: plainText(35).optional(),
  time_zone: plainText(100).optional(),
  fields: z.record(z.string().max(63), z.unknown()).optional(),
  /** Key of a marketing purpose; default the workspace's first. */
  purpose: plainText(63).optional(),
  /** A field that people cannot see and programs fill in: leave it empty. */
  website: z.string().max(10_000).optional(),
});
export const signUpAnswer = z.object({ status: z.literal('accepted'), detail: z.string() });
