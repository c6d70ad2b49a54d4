import { OPT_IN_TEMPLATES } from './opt-in';

/** The mail that invites a member. */
export const INVITATION_TEMPLATE = 'workspace-invitation';

/** A template that every workspace begins with; edited like any other afterwards. */
export interface SystemTemplate {
  slug: string;
  name: string;
  subject: string;
  previewText: string;
  html: string;
  text: string;
  variables: { name: string; default?: string; description: string }[];
}

const VARIABLES: SystemTemplate['variables'] = [
  { name: 'purpose_name', default: 'our mailings', description: 'Name of the purpose, for example "Newsletter"' },
  { name: 'wording', default: '', description: 'What the person agrees to, word by word, as shown at sign-up' },
];

const WORDING = `{% if wording %}<tr><td style="padding:0 40px 16px;"><table role="presentation" cellpadding="0" cellspacing="0"><tr><td style="border-left:3px solid #9ca3af;padding:4px 0 4px 14px;font:400 15px/22px Helvetica,Arial,sans-serif;color:#374151;">{{ wording }}</td></tr></table></td></tr>{% endif %}`;
const CONFIRM = { text: 'Confirm your subscription', url: 'confirm_url' } as const;

/** Tables and inline styles: mail programs know little else. Colours keep a contrast above 7:1. */
function html(heading: string, lead: string, note: string, button: { text: string; url: string } = CONFIRM): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>${heading}</title>
</head>
<body style="margin:0;padding:0;background:#f3f4f6;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#f3f4f6;">
<tr><td align="center" style="padding:32px 16px;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:520px;background:#ffffff;border-radius:12px;">
<tr><td style="padding:40px 40px 8px;font:600 14px/20px Helvetica,Arial,sans-serif;color:#374151;">{{ workspace_name }}</td></tr>
<tr><td style="padding:0 40px 12px;font:700 24px/32px Helvetica,Arial,sans-serif;color:#111827;">${heading}</td></tr>
<tr><td style="padding:0 40px 16px;font:400 16px/24px Helvetica,Arial,sans-serif;color:#1f2937;">${lead}</td></tr>
${button === CONFIRM ? WORDING : ''}
<tr><td style="padding:8px 40px 24px;"><table role="presentation" cellpadding="0" cellspacing="0"><tr><td style="border-radius:8px;background:#1d4ed8;"><a href="{{ ${button.url} }}" style="display:inline-block;padding:14px 28px;font:600 16px/20px Helvetica,Arial,sans-serif;color:#ffffff;text-decoration:none;">${button.text}</a></td></tr></table></td></tr>
<tr><td style="padding:0 40px 40px;font:400 14px/21px Helvetica,Arial,sans-serif;color:#4b5563;">${note}</td></tr>
</table>
{% if workspace_address %}<p style="margin:16px 0 0;font:400 12px/18px Helvetica,Arial,sans-serif;color:#4b5563;">{{ workspace_address }}</p>{% endif %}
</td></tr>
</table>
</body>
</html>
`;
}

function text(lead: string, note: string): string {
  return `${lead}

{% if wording %}    {{ wording }}

{% endif %}To confirm, open this page and press the button:
{{ confirm_url }}

${note}

{{ workspace_name }}
{% if workspace_address %}{{ workspace_address }}
{% endif %}`;
}

const IGNORE = 'If this was not you, do nothing: without your confirmation you will get no mail of this kind.';
const LEAD = 'Somebody, probably you, asked for {{ purpose_name }} to be sent to this address. Please confirm it.';
const REMINDER = 'A few days ago somebody, probably you, asked for {{ purpose_name }}. It is not confirmed yet.';

const INVITED = '{{ invited_by }} invites you to work in {{ workspace_name }} as {{ role }}.';
const INVITATION_NOTE = 'The invitation lasts seven days. If you did not expect it, do nothing.';

/**
 * The mails of double opt-in. They never show what the visitor typed (a name, say): until the confirmation anybody
 * may have typed it, and a stranger's words must not be mailed in the workspace's name. And the one
 * that invites a member.
 */
export const SYSTEM_TEMPLATES: readonly SystemTemplate[] = [
  {
    slug: OPT_IN_TEMPLATES.mail,
    name: 'Opt-in confirmation',
    subject: 'Please confirm: {{ purpose_name }} from {{ workspace_name }}',
    previewText: 'One click and you are subscribed.',
    html: html('Please confirm your subscription', LEAD, IGNORE),
    text: text(LEAD, IGNORE),
    variables: VARIABLES,
  },
  {
    slug: OPT_IN_TEMPLATES.reminder,
    name: 'Opt-in reminder',
    subject: 'Still interested? {{ purpose_name }} from {{ workspace_name }}',
    previewText: 'Your subscription is waiting for your confirmation.',
    html: html('Your subscription is not confirmed yet', REMINDER, `${IGNORE} This is the only reminder.`),
    text: text(REMINDER, `${IGNORE} This is the only reminder.`),
    variables: VARIABLES,
  },
  {
    slug: INVITATION_TEMPLATE,
    name: 'Invitation of a member',
    subject: 'You are invited to {{ workspace_name }}',
    previewText: 'Choose a password and you are in.',
    html: html('You are invited', INVITED, INVITATION_NOTE, { text: 'Accept the invitation', url: 'invitation_url' }),
    text: `${INVITED}

To accept, open this page and choose a password:
{{ invitation_url }}

${INVITATION_NOTE}

{{ workspace_name }}
{% if workspace_address %}{{ workspace_address }}
{% endif %}`,
    variables: [
      { name: 'invited_by', default: 'Somebody', description: 'Name of the person who invites' },
      { name: 'role', default: 'member', description: 'Role in the workspace: owner, marketer, approver, …' },
    ],
  },
];
