import type { LookupFunction } from 'node:net';
import { hostname } from 'node:os';
import { z } from 'zod';
import type { Credentials } from './authentication';

/**
 * - `auto`: STARTTLS wherever it is offered (and then verified); a password is never sent unencrypted but to loopback.
 * - `required`: STARTTLS or nothing. `implicit`: TLS from the first byte (RFC 8314). `off`: never.
 */
export type TlsMode = 'auto' | 'required' | 'implicit' | 'off';

/** Milliseconds; defaults follow RFC 5321 section 4.5.3.2. */
export interface SmtpTimeouts {
  connectMs: number;
  greetingMs: number;
  commandMs: number;
  /** From the final dot to its answer. Cutting it short turns accepted mail into unknown mail. */
  finalDotMs: number;
}

export interface SmtpOptions {
  host: string;
  port: number;
  tls: TlsMode;
  /** False accepts any certificate: only for servers one owns. */
  verifyCertificate: boolean;
  /** PEM of authorities trusted instead of the system's; null: the system's. */
  certificateAuthority: string | null;
  credentials: Credentials | null;
  /** Resolves the host at each connection; null: the system's. For refusing private targets (design, section 9). */
  lookup: LookupFunction | null;
  /** What we call ourselves in EHLO: a domain or an address literal. */
  clientName: string;
  maxConnections: number;
  maxMessagesPerConnection: number;
  /** Most messages under way at once on a connection whose server offers CHUNKING; 1: DATA is used there too. */
  maxPipelined: number;
  /** A connection without work is closed after this many milliseconds. */
  idleCloseMs: number;
  /** Pause after a failed connection; doubles up to the maximum. */
  reconnectMs: number;
  reconnectMaxMs: number;
  timeouts: SmtpTimeouts;
}

const DEFAULTS = {
  tls: 'auto' as TlsMode,
  verifyCertificate: true,
  certificateAuthority: null,
  lookup: null,
  maxConnections: 10,
  maxMessagesPerConnection: 1000,
  maxPipelined: 16,
  idleCloseMs: 20_000,
  reconnectMs: 1_000,
  reconnectMaxMs: 60_000,
  timeouts: { connectMs: 30_000, greetingMs: 300_000, commandMs: 300_000, finalDotMs: 600_000 },
};

/** Fills in what was left out. */
export function smtpOptions(
  given: { host: string; port: number } & Partial<Omit<SmtpOptions, 'timeouts'>> & { timeouts?: Partial<SmtpTimeouts> },
): SmtpOptions {
  return {
    credentials: null,
    clientName: ownName(),
    ...DEFAULTS,
    ...given,
    timeouts: { ...DEFAULTS.timeouts, ...given.timeouts },
  };
}

const count = (maximum: number) => z.coerce.number().int().min(1).max(maximum).optional();
const duration = z.coerce.number().int().min(1).max(3_600_000).optional();

const querySchema = z.strictObject({
  tls: z.enum(['auto', 'required', 'off']).optional(),
  verify: z.enum(['true', 'false']).optional(),
  auth: z.enum(['plain', 'login', 'xoauth2']).optional(),
  name: z
    .string()
    .regex(/^[A-Za-z0-9.\-[\]:]{1,255}$/)
    .optional(),
  connections: count(100),
  messages: count(1_000_000),
  pipeline: count(100),
  idle: duration,
  connectTimeout: duration,
  greetingTimeout: duration,
  commandTimeout: duration,
  finalDotTimeout: duration,
});

export type SmtpUrl = { ok: true; options: SmtpOptions } | { ok: false; message: string };

/**
 * Reads `smtp://user:password@host:port?connections=10&tls=required` or `smtps://…` (implicit TLS). User and password
 * are percent-encoded. With `auth=xoauth2` the password is the access token. Query: tls (auto, required, off), verify
 * (true, false), auth (plain, login, xoauth2), name, connections, messages (per connection), pipeline (messages under
 * way at once on a connection), idle, connectTimeout,
 * greetingTimeout, commandTimeout, finalDotTimeout (milliseconds).
 * @returns a message that says what is wrong and never repeats the password
 */
export function parseSmtpUrl(text: string): SmtpUrl {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'smtp:' && url.protocol !== 'smtps:') || url.hostname === '') {
    return { ok: false, message: 'must look like smtp://user:password@host:port or smtps://…' };
  }
  if ((url.pathname !== '' && url.pathname !== '/') || url.hash !== '') {
    return { ok: false, message: 'must not have a path or a fragment' };
  }
  const parsed = querySchema.safeParse(Object.fromEntries(url.searchParams));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return { ok: false, message: `query parameter ${issue?.path.join('.') || '?'}: ${issue?.message ?? 'invalid'}` };
  }
  const query = parsed.data;
  const implicit = url.protocol === 'smtps:';
  if (implicit && query.tls !== undefined) {
    return { ok: false, message: 'query parameter tls: smtps:// already means TLS from the first byte' };
  }
  const credentials = credentialsOf(url, query.auth);
  if (credentials === undefined) {
    return { ok: false, message: 'user and password must be percent-encoded and come together' };
  }
  const { connectTimeout, greetingTimeout, commandTimeout, finalDotTimeout } = query;
  return {
    ok: true,
    options: smtpOptions({
      // URL keeps the brackets of an IPv6 literal; sockets don't want them.
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? (implicit ? 465 : 587) : Number(url.port),
      tls: implicit ? 'implicit' : (query.tls ?? 'auto'),
      verifyCertificate: query.verify !== 'false',
      credentials,
      ...(query.name !== undefined && { clientName: query.name }),
      ...(query.connections !== undefined && { maxConnections: query.connections }),
      ...(query.messages !== undefined && { maxMessagesPerConnection: query.messages }),
      ...(query.pipeline !== undefined && { maxPipelined: query.pipeline }),
      ...(query.idle !== undefined && { idleCloseMs: query.idle }),
      timeouts: {
        ...(connectTimeout !== undefined && { connectMs: connectTimeout }),
        ...(greetingTimeout !== undefined && { greetingMs: greetingTimeout }),
        ...(commandTimeout !== undefined && { commandMs: commandTimeout }),
        ...(finalDotTimeout !== undefined && { finalDotMs: finalDotTimeout }),
      },
    }),
  };
}

function credentialsOf(url: URL, auth: 'plain' | 'login' | 'xoauth2' | undefined): Credentials | null | undefined {
  let username: string;
  let password: string;
  try {
    username = decodeURIComponent(url.username);
    password = decodeURIComponent(url.password);
  } catch {
    return undefined;
  }
  if (username === '' && password === '') {
    return null;
  }
  if (username === '' || password === '') {
    return undefined;
  }
  if (auth === 'xoauth2') {
    return { kind: 'oauth2', username, accessToken: () => Promise.resolve(password) };
  }
  return {
    kind: 'password',
    username,
    password,
    mechanism: auth === undefined ? null : auth === 'plain' ? 'PLAIN' : 'LOGIN',
  };
}

const environmentSchema = z.object({
  SMTP_URL: z.string().min(1).optional(),
  SMTP_HOST: z.string().min(1).optional(),
  SMTP_PORT: z.coerce.number().int().min(1).max(65_535).default(587),
  SMTP_USERNAME: z.string().min(1).optional(),
  SMTP_PASSWORD: z.string().min(1).optional(),
});

/**
 * The installation's fallback sender from the environment: SMTP_URL, else SMTP_HOST, SMTP_PORT, SMTP_USERNAME and
 * SMTP_PASSWORD (spec 003, "Configuration"; port 465 means implicit TLS).
 * @returns null when neither is set
 */
export function smtpOptionsFromEnvironment(environment: Record<string, string | undefined>): SmtpUrl | null {
  const present = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = environmentSchema.safeParse(present);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return { ok: false, message: `${issue?.path.join('.') ?? 'SMTP'}: ${issue?.message ?? 'invalid'}` };
  }
  const { SMTP_URL, SMTP_HOST, SMTP_PORT, SMTP_USERNAME, SMTP_PASSWORD } = parsed.data;
  if (SMTP_URL !== undefined) {
    const url = parseSmtpUrl(SMTP_URL);
    return url.ok ? url : { ok: false, message: `SMTP_URL: ${url.message}` };
  }
  if (SMTP_HOST === undefined) {
    return null;
  }
  if ((SMTP_USERNAME === undefined) !== (SMTP_PASSWORD === undefined)) {
    return { ok: false, message: 'SMTP_USERNAME and SMTP_PASSWORD must come together' };
  }
  return {
    ok: true,
    options: smtpOptions({
      host: SMTP_HOST,
      port: SMTP_PORT,
      tls: SMTP_PORT === 465 ? 'implicit' : 'auto',
      credentials:
        SMTP_USERNAME === undefined || SMTP_PASSWORD === undefined
          ? null
          : { kind: 'password', username: SMTP_USERNAME, password: SMTP_PASSWORD, mechanism: null },
    }),
  };
}

/** RFC 5321 section 4.1.3: a host without a domain name of its own gives an address literal. */
function ownName(): string {
  const name = hostname();
  return /^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$/.test(name) ? name : '[127.0.0.1]';
}
