import { z } from 'zod';

/** The environment does not say what is needed; the message lists every variable that is wrong. */
export class ConfigurationError extends Error {}

const port = z.coerce.number().int().min(0).max(65535);
const optionalText = z.string().min(1).optional();

const environment = z.object({
  DATABASE_URL_API: z.url().optional().describe('Postgres as sally_api (API process)'),
  DATABASE_URL_WORKER: z.url().optional().describe('Postgres as sally_worker (worker processes)'),
  TEMPORAL_ADDRESS: z.string().default('127.0.0.1:7233').describe('host:port of the Temporal frontend'),
  TEMPORAL_NAMESPACE: z.string().default('default').describe('Temporal namespace'),
  TEMPORAL_UI_URL: z.string().default('http://localhost:8080').describe('Temporal UI, for links to runs'),
  PORT: port.default(3000).describe('Port of the API'),
  HOST: z.string().default('127.0.0.1').describe('Address that the API listens on'),
  PUBLIC_URL: z.url().default('http://127.0.0.1:3000').describe('Where recipients and users reach the API'),
  EMAIL_TRACKING_DOMAIN: optionalText.describe('Host of tracking links when it differs from PUBLIC_URL (spec 003)'),
  METRICS_PORT: port
    .default(0)
    .describe('Port of /metrics, /healthz and /readyz of a worker; 0 = chosen by the system'),
  METRICS_HOST: z.string().default('127.0.0.1').describe('Address that a worker serves them on'),
  SALLY_WORKFLOW_BUNDLE: optionalText.describe('File with the bundled workflows; unset = bundled when a worker starts'),
  SALLY_SECRETS: z.string().min(1).describe('kid:base64url(32 bytes), newest first, separated by commas'),
  SALLY_SUPPRESSION_KEY: z.string().min(1).describe('base64url(32 bytes); keyed hash of addresses, never rotated'),
  SMTP_URL: optionalText.describe('Fallback sender: smtp://user:password@host:port or smtps://…'),
  SMTP_HOST: optionalText.describe('Fallback sender, as in spec 003; used when SMTP_URL is not set'),
  SMTP_PORT: port.default(587).describe('Port for SMTP_HOST'),
  SMTP_USERNAME: optionalText.describe('User for SMTP_HOST'),
  SMTP_PASSWORD: optionalText.describe('Password for SMTP_HOST'),
  DNS_SERVERS: optionalText.describe('Name servers for MX look-ups (address:port, …); unset = those of the system'),
  ALLOW_PRIVATE_SMTP: z
    .enum(['true', 'false'])
    .default('false')
    .transform((value) => value === 'true')
    .describe(
      'Whether providers of workspaces may be at private, loopback or link-local addresses, and APIs without https',
    ),
  EMAIL_FROM: z.email().optional().describe('From address where neither campaign nor workspace names one'),
  EMAIL_FROM_NAME: z.string().default('').describe('From name where neither campaign nor workspace names one'),
  CAMPAIGN_SEND_RATE_PER_MINUTE: z.coerce
    .number()
    .int()
    .positive()
    .optional()
    .describe('Limit of the fallback sender; unset = unlimited'),
  DELIVERY_WINDOW: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(128)
    .describe('W: most messages of one process whose outcome may be unknown after a kill'),
  DELIVERY_GROUP_SIZE: z.coerce.number().int().min(1).max(1_000).default(64).describe('Most messages of one claim'),
  DELIVERY_SLOTS: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(50)
    .describe(
      'Lanes that a delivery process drains at once, and as many of urgent mail besides; more take turns in short slices',
    ),
  DELIVERY_LEASE_SECONDS: z.coerce.number().min(1).max(300).default(30).describe('Lease of a delivery process'),
  SMTP_CONNECTIONS: z.coerce
    .number()
    .int()
    .min(1)
    .max(200)
    .default(10)
    .describe('Connections per provider and process'),
  DRAIN_SLICE_SECONDS: z.coerce
    .number()
    .min(1)
    .max(300)
    .default(30)
    .describe('Longest drain of a lane before it returns'),
  MAILBOX_LINGER_MINUTES: z.coerce
    .number()
    .int()
    .min(0)
    .max(720)
    .default(720)
    .describe('Longest wait for the next slot of mailboxes inside a drain; 0 = a timer for every slot'),
  WATCHDOG_SECONDS: z.coerce.number().min(1).max(300).default(15).describe('Interval of the watchdog'),
  PUBLIC_REQUESTS_PER_MINUTE: z.coerce
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(30)
    .describe('Sign-ups and requests for new confirmation mails per network (IPv4 address, IPv6 /64) and minute'),
  CLICK_SPOOL_DIRECTORY: optionalText.describe(
    'Where clicks wait while Postgres is away; default: below the system temp directory',
  ),
  UPLOAD_MAX_BYTES: z.coerce
    .number()
    .int()
    .min(1)
    .default(1024 ** 3)
    .describe('Largest file to be imported, in bytes'),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url().optional().describe('OTLP/HTTP collector; unset = no traces are exported'),
  OTEL_BULK_SAMPLE_RATIO: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('Share of bulk messages that are traced'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('pino level'),
  TRUST_PROXY: z
    .string()
    .default('loopback')
    .describe("Express 'trust proxy': which proxies may tell the client's address"),
  SALLY_WITHOUT: z
    .enum(['claim-order', 'engine-fairness'])
    .optional()
    .describe('Benches only: switch one of the two orders off that keep sending fair, to measure what it does'),
  SALLY_FAILPOINT: optionalText.describe('Tests only: kill the process at a named point'),
});

export type Configuration = z.infer<typeof environment>;

/** Parses environment variables once; throws ConfigurationError that lists everything wrong. */
export function readConfiguration(variables: Record<string, string | undefined>): Configuration {
  // "FOO=" in a compose file means "not set".
  const present = Object.fromEntries(
    Object.entries(variables).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = environment.safeParse(present);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
    throw new ConfigurationError(
      `The configuration is incomplete or wrong (docs/configuration.md):\n${lines.join('\n')}`,
    );
  }
  return parsed.data;
}

/** Name, default and meaning of every variable, for docs/configuration.md and its test. */
export function describeConfiguration(): { name: string; defaultValue: string; description: string }[] {
  return Object.entries(environment.shape).map(([name, schema]) => {
    const empty = schema.safeParse(undefined);
    return {
      name,
      defaultValue: empty.success && empty.data !== undefined ? String(empty.data) : '',
      description: schema.description ?? '',
    };
  });
}
