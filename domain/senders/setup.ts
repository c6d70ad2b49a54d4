import type { z } from 'zod';
import { MAILGUN, POSTMARK, SENDGRID, SES } from './api-schemas';
import type { ProviderParts, ProviderSetup, ProviderType } from './sender';
import { mismatch, NO_CREDENTIALS, newSmtpSettings, smtpCredentials, smtpSettings, withDefaults } from './smtp-schemas';

/** What a type's settings and credentials must look like, and how those of a new provider are filled in. */
interface Kind<S, C> {
  settings: z.ZodType<S>;
  credentials: z.ZodType<C>;
  /** Settings of a new provider with what was left out; may lack what has no default. */
  complete(given: Record<string, unknown>): unknown;
  /** Credentials of a new provider before any are given. */
  none: Partial<C>;
  /** Where settings and credentials don't fit together; null = they do. */
  mismatch(settings: S, credentials: C): SetupProblem | null;
}

/** A wrong place of a setup: path below the body ("settings/host"), and what is wrong. */
export interface SetupProblem {
  field: string;
  detail: string;
}

function plain<S, C>(kind: { settings: z.ZodType<S>; defaults: Partial<S>; credentials: z.ZodType<C> }): Kind<S, C> {
  return {
    settings: kind.settings,
    credentials: kind.credentials,
    complete: (given) => ({ ...kind.defaults, ...given }),
    none: {},
    mismatch: () => null,
  };
}

const KINDS: { [T in ProviderType]: Kind<ProviderParts[T]['settings'], ProviderParts[T]['credentials']> } = {
  SMTP: {
    settings: smtpSettings,
    credentials: smtpCredentials,
    complete: (given) => {
      const known = newSmtpSettings.safeParse(given);
      return known.success ? withDefaults(known.data) : given;
    },
    none: NO_CREDENTIALS,
    mismatch,
  },
  SES: plain(SES),
  SENDGRID: plain(SENDGRID),
  MAILGUN: plain(MAILGUN),
  POSTMARK: plain(POSTMARK),
};

/** Settings and credentials as they are stored; null when they are not what the type needs: somebody else wrote them. */
export function readSetup(type: ProviderType, settings: unknown, credentials: unknown): ProviderSetup | null {
  const read = <T extends ProviderType>(providerType: T) => {
    const kind = KINDS[providerType];
    const [known, opened] = [kind.settings.safeParse(settings), kind.credentials.safeParse(credentials)];
    return known.success && opened.success ? { providerType, settings: known.data, credentials: opened.data } : null;
  };
  switch (type) {
    case 'SMTP':
      return read('SMTP');
    case 'SES':
      return read('SES');
    case 'SENDGRID':
      return read('SENDGRID');
    case 'MAILGUN':
      return read('MAILGUN');
    case 'POSTMARK':
      return read('POSTMARK');
  }
}

/** What a client writes: what is absent stays as it is, or takes its default in a new provider. */
export interface SetupChange {
  settings?: Record<string, unknown>;
  credentials?: Record<string, unknown>;
}

/** What there is before a change; null = nothing, or (credentials) nothing that can be read. */
export interface SetupBefore {
  settings: object | null;
  credentials: object | null;
}

export type ChangedSetup = { ok: true; setup: ProviderSetup } | { ok: false; problems: SetupProblem[] };

/** Applies a change, or makes a new setup, and checks all of it. */
export function changeSetup(type: ProviderType, before: SetupBefore, change: SetupChange): ChangedSetup {
  const apply = <T extends ProviderType>(providerType: T) => {
    const kind = KINDS[providerType];
    const settings = kind.settings.safeParse(
      before.settings ? { ...before.settings, ...change.settings } : kind.complete(change.settings ?? {}),
    );
    const credentials = kind.credentials.safeParse({ ...(before.credentials ?? kind.none), ...change.credentials });
    if (!settings.success || !credentials.success) {
      return {
        ok: false as const,
        problems: [...problemsOf('settings', settings), ...problemsOf('credentials', credentials)],
      };
    }
    const problem = kind.mismatch(settings.data, credentials.data);
    if (problem) return { ok: false as const, problems: [problem] };
    return { ok: true as const, setup: { providerType, settings: settings.data, credentials: credentials.data } };
  };
  switch (type) {
    case 'SMTP':
      return apply('SMTP');
    case 'SES':
      return apply('SES');
    case 'SENDGRID':
      return apply('SENDGRID');
    case 'MAILGUN':
      return apply('MAILGUN');
    case 'POSTMARK':
      return apply('POSTMARK');
  }
}

function problemsOf(part: 'settings' | 'credentials', parsed: z.ZodSafeParseResult<unknown>): SetupProblem[] {
  if (parsed.success) return [];
  return parsed.error.issues.map((issue) => ({
    field: [part, ...issue.path.map(String)].join('/'),
    detail: issue.code === 'unrecognized_keys' ? `Unknown field: ${issue.keys.join(', ')}` : issue.message,
  }));
}

/** Where a provider is connected to, for the guard against private targets; null = its own address at the provider's. */
export function targetOf(setup: ProviderSetup): { field: string; host: string; encrypted: boolean } | null {
  if (setup.providerType === 'SMTP') return { field: 'settings/host', host: setup.settings.host, encrypted: true };
  if (setup.settings.endpoint === null) return null;
  const url = new URL(setup.settings.endpoint);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { field: 'settings/endpoint', host, encrypted: url.protocol === 'https:' };
}
