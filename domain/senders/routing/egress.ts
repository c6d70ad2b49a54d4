import { z } from 'zod';
import { secret } from '../setting-fields';

const word = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[A-Za-z0-9._-]+$/, 'must be letters, digits, dots, hyphens and underscores');

/**
 * What makes a provider use one of its dedicated IPs, by provider type: SMTP relays give it a submission host, port or
 * log-in of its own, SES a configuration set (whose pool holds it), the others a pool or stream.
 */
const EGRESS = {
  SMTP: z.strictObject({
    host: z
      .string()
      .max(253)
      .regex(/^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$/, 'must be a host name or an IP address')
      .optional(),
    port: z.int().min(1).max(65_535).optional(),
  }),
  SES: z.strictObject({ configuration_set: word }),
  SENDGRID: z.strictObject({ ip_pool: word }),
  MAILGUN: z.strictObject({ ip_pool: word }),
  POSTMARK: z.strictObject({ message_stream: word }),
} as const;

/** Settings of one dedicated IP, in the place of the provider's own; keys and values as in its settings. */
export type Egress = Record<string, string | number>;

/** A log-in of one dedicated IP, in the place of its provider's; SMTP only. Stored sealed, never shown. */
export const ipCredentials = z.strictObject({ username: secret(255), password: secret(1_000) });
export type IpCredentials = z.infer<typeof ipCredentials>;

/**
 * Checks an egress against its provider's type; the message says what is wrong.
 * @param hasCredentials the IP has a log-in of its own, which tells the relay enough
 */
export function parseEgress(
  providerType: keyof typeof EGRESS,
  given: unknown,
  hasCredentials: boolean,
): { ok: true; egress: Egress } | { ok: false; field: string; message: string } {
  const parsed = EGRESS[providerType].safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return { ok: false, field: issue?.path.join('/') ?? '', message: issue?.message ?? 'is not valid' };
  }
  const egress = Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== undefined));
  if (Object.keys(egress).length === 0 && !hasCredentials) {
    return {
      ok: false,
      field: '',
      message:
        'must say how the provider is told to use this IP: a host or a port of its own, or credentials beside it',
    };
  }
  return { ok: true, egress };
}
