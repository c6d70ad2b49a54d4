/** Slug of the template of mails with a gate's link; made with the first gate, edited like any other afterwards. */
export const GATE_TEMPLATE = 'gate-access';

/** It shows nothing that the visitor typed: a stranger's words must not be mailed in the workspace's name. */
export const GATE_MAIL = {
  name: 'Link to a gated resource',
  subject: 'Your link: {{ gate_name }}',
  previewText: 'Here is what you asked for.',
  html: `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Your link</title></head>
<body style="margin:0;padding:32px 16px;background:#f3f4f6;">
<table role="presentation" align="center" width="100%" cellpadding="0" cellspacing="0" style="max-width:520px;background:#ffffff;border-radius:12px;">
<tr><td style="padding:40px 40px 8px;font:600 14px/20px Helvetica,Arial,sans-serif;color:#374151;">{{ workspace_name }}</td></tr>
<tr><td style="padding:0 40px 12px;font:700 24px/32px Helvetica,Arial,sans-serif;color:#111827;">{{ gate_name }}</td></tr>
<tr><td style="padding:0 40px 16px;font:400 16px/24px Helvetica,Arial,sans-serif;color:#1f2937;">Somebody, probably you, asked for this link to be sent to this address.</td></tr>
<tr><td style="padding:8px 40px 24px;"><a href="{{ gate_url }}" style="display:inline-block;padding:14px 28px;border-radius:8px;background:#1d4ed8;font:600 16px/20px Helvetica,Arial,sans-serif;color:#ffffff;text-decoration:none;">Open it</a></td></tr>
<tr><td style="padding:0 40px 40px;font:400 14px/21px Helvetica,Arial,sans-serif;color:#4b5563;">The link is for you alone and works for a limited time. If this was not you, do nothing.</td></tr>
</table>
{% if workspace_address %}<p style="margin:16px 0 0;text-align:center;font:400 12px/18px Helvetica,Arial,sans-serif;color:#4b5563;">{{ workspace_address }}</p>{% endif %}
</body>
</html>
`,
  text: `Somebody, probably you, asked for this link to be sent to this address: {{ gate_name }}

{{ gate_url }}

The link is for you alone and works for a limited time. If this was not you, do nothing.

{{ workspace_name }}
{% if workspace_address %}{{ workspace_address }}
{% endif %}`,
  variables: [{ name: 'gate_name', default: 'what you asked for', description: 'Name of the gate' }],
} as const;
