import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The real e-mail templates of `html/` (origin and licence beside them), as content that Sally can use. */
export const SAMPLE_TEMPLATES = ['welcome', 'trial-expiring', 'user-invitation', 'password-reset'] as const;
export type SampleTemplateName = (typeof SAMPLE_TEMPLATES)[number];

export interface SampleTemplate {
  readonly slug: string;
  readonly category: 'ONBOARDING' | 'MARKETING' | 'TRANSACTIONAL';
  readonly subject: string;
  readonly previewText: string;
  readonly html: string;
  readonly text: string;
  /** Declared variables, each with a default. */
  readonly variables: readonly { readonly name: string; readonly default: string }[];
}

/**
 * A sample template. Files are as their makers ship them, but for the recipient's name: their `{{name}}` becomes our
 * `first_name`, with a word for those whose name is unknown.
 */
export function sampleTemplate(name: SampleTemplateName): SampleTemplate {
  return {
    slug: name,
    ...ABOUT[name],
    html: readSample(`${name}.html`),
    text: readSample(`${name}.txt`),
    variables: DEFAULTS[name].map((variable) => ({ name: variable, default: VALUES[variable] ?? '' })),
  };
}

function readSample(file: string): string {
  return readFileSync(join(__dirname, 'html', file), 'utf8').replaceAll(
    '{{name}}',
    '{{ first_name|default("there") }}',
  );
}

const ABOUT: Record<SampleTemplateName, Pick<SampleTemplate, 'category' | 'subject' | 'previewText'>> = {
  welcome: {
    category: 'ONBOARDING',
    subject: 'Welcome aboard, {{ first_name|default("friend") }}!',
    previewText: 'Three things to do on your first day',
  },
  'trial-expiring': {
    category: 'MARKETING',
    subject: '{{ first_name|default("Hello") }}, your trial ends soon',
    previewText: 'Keep what you have built',
  },
  'user-invitation': {
    category: 'TRANSACTIONAL',
    subject: '{{ invite_sender_name }} invited you',
    previewText: 'One click and you are in',
  },
  'password-reset': {
    category: 'TRANSACTIONAL',
    subject: 'Set up a new password',
    previewText: 'The link works for a day',
  },
};

/** The variables that each file uses; a test holds this against the files. */
const DEFAULTS: Record<SampleTemplateName, readonly string[]> = {
  welcome: [
    ...['action_url', 'help_url', 'live_chat_url', 'login_url', 'support_email', 'trial_end_date', 'trial_length'],
    ...['trial_start_date', 'username'],
  ],
  'trial-expiring': ['action_url', 'close_account_url', 'export_url', 'feedback_url', 'trial_extension_url'],
  'user-invitation': [
    ...['action_url', 'help_url', 'invite_sender_name', 'invite_sender_organization_name', 'live_chat_url'],
    'support_email',
  ],
  'password-reset': ['action_url', 'browser_name', 'operating_system', 'support_url'],
};

const VALUES: Readonly<Record<string, string>> = {
  action_url: 'https://www.example.com/start',
  browser_name: 'Firefox',
  close_account_url: 'https://www.example.com/account/close',
  export_url: 'https://www.example.com/account/export',
  feedback_url: 'https://www.example.com/feedback',
  help_url: 'https://www.example.com/help',
  invite_sender_name: 'Grace Hopper',
  invite_sender_organization_name: 'Example Company',
  live_chat_url: 'https://www.example.com/chat',
  login_url: 'https://www.example.com/login',
  operating_system: 'Linux',
  support_email: 'support@example.com',
  support_url: 'https://www.example.com/support',
  trial_end_date: '30 December',
  trial_extension_url: 'https://www.example.com/trial/extend',
  trial_length: '30',
  trial_start_date: '1 December',
  username: 'ada',
};
