import { z } from 'zod';
import type {
  ApiKeyCredentials,
  MailgunSettings,
  PostmarkCredentials,
  PostmarkSettings,
  SendgridSettings,
  SesCredentials,
  SesSettings,
} from './sender';
import { connections, DOMAIN, endpoint, resourceName, secret, window } from './setting-fields';

const common = { connections, window };
const httpApi = { ...common, endpoint, sandbox_mode: z.boolean(), tracking_enabled: z.boolean() };

const COMMON_DEFAULTS = { connections: 10, window: null };
const HTTP_API_DEFAULTS = { ...COMMON_DEFAULTS, sandbox_mode: false, tracking_enabled: false };

/** SendGrid gives a public key to verify its webhooks with, Mailgun a secret; SES signs by certificate, Postmark not at all. */
const apiKeyCredentials = z.strictObject({
  api_key: secret(500),
  webhook_signing_key: secret(1_000).nullable().default(null),
}) satisfies z.ZodType<ApiKeyCredentials>;

/** Schemas and defaults of a provider type whose settings depend on nothing but themselves. */
export const SES = {
  settings: z.strictObject({
    ...common,
    region: z
      .string()
      .max(50)
      .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region like eu-central-1'),
    endpoint: endpoint.nullable(),
    configuration_set: z
      .string()
      .max(64)
      .regex(/^[A-Za-z0-9_-]+$/, 'must be the name of a configuration set')
      .nullable(),
  }) satisfies z.ZodType<SesSettings>,
  defaults: { ...COMMON_DEFAULTS, endpoint: null, configuration_set: null },
  credentials: z.strictObject({
    access_key_id: secret(128),
    secret_access_key: secret(200),
  }) satisfies z.ZodType<SesCredentials>,
};

export const SENDGRID = {
  settings: z.strictObject({ ...httpApi, ip_pool: resourceName.nullable() }) satisfies z.ZodType<SendgridSettings>,
  defaults: { ...HTTP_API_DEFAULTS, endpoint: 'https://api.sendgrid.com', ip_pool: null },
  credentials: apiKeyCredentials,
};

export const MAILGUN = {
  settings: z.strictObject({
    ...httpApi,
    domain: z.string().max(253).regex(DOMAIN, 'must be a domain, internationalised ones as punycode'),
    ip_pool: resourceName.nullable(),
  }) satisfies z.ZodType<MailgunSettings>,
  defaults: { ...HTTP_API_DEFAULTS, endpoint: 'https://api.mailgun.net', ip_pool: null },
  credentials: apiKeyCredentials,
};

export const POSTMARK = {
  settings: z.strictObject({ ...httpApi, message_stream: resourceName }) satisfies z.ZodType<PostmarkSettings>,
  defaults: { ...HTTP_API_DEFAULTS, endpoint: 'https://api.postmarkapp.com', message_stream: 'outbound' },
  credentials: z.strictObject({ server_token: secret(200) }) satisfies z.ZodType<PostmarkCredentials>,
};
