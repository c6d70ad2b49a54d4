import { createPrivateKey } from 'node:crypto';
import { z } from 'zod';
import { type SmtpCredentials, type SmtpSettings, TLS_MODES } from './sender';
import { connections, DOMAIN, host, LABEL, secret, window } from './setting-fields';

/** A DKIM selector is one or more sub-domains (RFC 6376, section 3.1). */
const SELECTOR = new RegExp(`^${LABEL}(\\.${LABEL})*$`, 'i');
/** RFC 8301, section 3.2: verifiers ignore shorter RSA keys. */
const LEAST_RSA_BITS = 1024;
/** As many as W = 128 needs on the ten connections of the default, and a few more. */
const DEFAULT_PIPELINE = 16;

/** The fields of settings, as written by a client: all optional but the host, no defaults yet. */
const settingsFields = {
  host,
  port: z.int().min(1).max(65_535),
  tls: z.enum(TLS_MODES),
  verify_certificate: z.boolean(),
  connections,
  pipeline: z.int().min(1).max(100),
  window,
  dkim: z
    .strictObject({
      domain: z.string().max(253).regex(DOMAIN, 'must be a domain, internationalised ones as punycode'),
      selector: z.string().max(63).regex(SELECTOR, 'must be a DKIM selector'),
    })
    .nullable(),
};

/** Settings with every field present: what is stored and shown. Providers made before there was `pipeline` have none stored. */
export const smtpSettings = z.strictObject({
  ...settingsFields,
  pipeline: settingsFields.pipeline.default(DEFAULT_PIPELINE),
});

/** Settings of a new provider: the rest is filled in by `withDefaults`. */
export const newSmtpSettings = z.strictObject(settingsFields).partial().required({ host: true });

/** A PEM private key that can make DKIM signatures (RFC 6376 and RFC 8463). */
const dkimPrivateKey = z
  .string()
  .max(10_000)
  .superRefine((value, context) => {
    const problem = privateKeyProblem(value);
    if (problem) context.addIssue({ code: 'custom', message: problem });
  });

function privateKeyProblem(pem: string): string | null {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return null;
    if (key.asymmetricKeyType !== 'rsa') return 'must be an RSA or Ed25519 key';
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    return bits >= LEAST_RSA_BITS ? null : `must have at least ${LEAST_RSA_BITS} bits`;
  } catch {
    return 'must be an unencrypted private key in PEM form';
  }
}

/** Credentials as written by a client: what is absent is kept (or null in a new provider), null removes. */
export const smtpCredentialsChange = z
  .strictObject({
    username: secret(255).nullable(),
    password: secret(1_000).nullable(),
    dkim_private_key: dkimPrivateKey.nullable(),
  })
  .partial();

/** Credentials with every field present: what is sealed. Parsed when opened, without looking into the key again. */
export const smtpCredentials = z.strictObject({
  username: z.string().nullable(),
  password: z.string().nullable(),
  dkim_private_key: z.string().nullable(),
});

export const NO_CREDENTIALS: SmtpCredentials = { username: null, password: null, dkim_private_key: null };

const IMPLICIT_TLS_PORT = 465;

/** Fills in what a client left out. Port 465 means implicit TLS, and implicit TLS port 465 (RFC 8314). */
export function withDefaults(given: z.infer<typeof newSmtpSettings>): SmtpSettings {
  const port = given.port ?? (given.tls === 'implicit' ? IMPLICIT_TLS_PORT : 587);
  return {
    host: given.host,
    port,
    tls: given.tls ?? (port === IMPLICIT_TLS_PORT ? 'implicit' : 'auto'),
    verify_certificate: given.verify_certificate ?? true,
    connections: given.connections ?? 10,
    pipeline: given.pipeline ?? DEFAULT_PIPELINE,
    window: given.window ?? null,
    dkim: given.dkim ?? null,
  };
}

/** Where settings and credentials don't fit together: field below the body, and what is wrong. Null = they do. */
export function mismatch(
  settings: SmtpSettings,
  credentials: SmtpCredentials,
): { field: string; detail: string } | null {
  if ((credentials.username === null) !== (credentials.password === null)) {
    const field = credentials.username === null ? 'credentials/username' : 'credentials/password';
    return { field, detail: 'username and password must come together' };
  }
  if (settings.dkim !== null && credentials.dkim_private_key === null) {
    return { field: 'credentials/dkim_private_key', detail: 'is needed to sign with settings.dkim' };
  }
  if (settings.dkim === null && credentials.dkim_private_key !== null) {
    return { field: 'settings/dkim', detail: 'is needed to sign with credentials.dkim_private_key' };
  }
  return null;
}
