import type { PageLanguage } from './page-texts';

/** A template that a workspace begins with; edited like any other afterwards. */
export interface SystemTemplate {
  slug: string;
  name: string;
  subject: string;
  previewText: string;
  html: string;
  text: string;
  variables: { name: string; default?: string; description: string }[];
}

/** What a system mail says. */
interface MailContent {
  language: PageLanguage;
  heading: string;
  lead: string;
  /** Of the text part, before the link. */
  invite: string;
  button: string;
  /** Name of the variable with the link. */
  url: string;
  note: string;
  /** Shows the wording that the person agrees to, where there is one. */
  wording?: boolean;
}

/** Slug of a system template in a language: the English one has the plain slug and serves where no other exists. */
export function templateSlug(slug: string, language: PageLanguage): string {
  return language === 'en' ? slug : `${slug}-${language}`;
}

const WORDING = `{% if wording %}<tr><td style="padding:0 40px 16px;"><table role="presentation" cellpadding="0" cellspacing="0"><tr><td style="border-left:3px solid #9ca3af;padding:4px 0 4px 14px;font:400 15px/22px Helvetica,Arial,sans-serif;color:#374151;">{{ wording }}</td></tr></table></td></tr>{% endif %}`;

/** Tables and inline styles: mail programs know little else. Colours keep a contrast above 7:1. */
export function mailHtml({ language, heading, lead, button, url, note, wording }: MailContent): string {
  return `<!doctype html>
<html lang="${language}">
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
${wording ? WORDING : ''}
<tr><td style="padding:8px 40px 24px;"><table role="presentation" cellpadding="0" cellspacing="0"><tr><td style="border-radius:8px;background:#1d4ed8;"><a href="{{ ${url} }}" style="display:inline-block;padding:14px 28px;font:600 16px/20px Helvetica,Arial,sans-serif;color:#ffffff;text-decoration:none;">${button}</a></td></tr></table></td></tr>
<tr><td style="padding:0 40px 40px;font:400 14px/21px Helvetica,Arial,sans-serif;color:#4b5563;">${note}</td></tr>
</table>
{% if workspace_address %}<p style="margin:16px 0 0;font:400 12px/18px Helvetica,Arial,sans-serif;color:#4b5563;">{{ workspace_address }}</p>{% endif %}
</td></tr>
</table>
</body>
</html>
`;
}

export function mailText({ lead, invite, url, note, wording }: MailContent): string {
  return `${lead}

${wording ? '{% if wording %}    {{ wording }}\n\n{% endif %}' : ''}${invite}
{{ ${url} }}

${note}

{{ workspace_name }}
{% if workspace_address %}{{ workspace_address }}
{% endif %}`;
}
