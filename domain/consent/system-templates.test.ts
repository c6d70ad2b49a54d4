import { compileContent, lintTemplate, render } from '../content';
import { INVITATION_TEMPLATE, SYSTEM_TEMPLATES } from './system-templates';

const context = {
  workspace_name: 'Müller & Söhne',
  workspace_address: 'Main Street 1',
  purpose_name: 'Newsletter',
  wording: 'I would like <b>news</b>.',
  confirm_url: 'https://mail.example/confirm/abc',
};

describe.each(SYSTEM_TEMPLATES)('$slug', (template) => {
  const source = {
    subject: template.subject,
    html: template.html,
    text: template.text,
    previewText: template.previewText,
  };

  it('has no error and no warning', () => {
    const findings = lintTemplate({
      ...source,
      declaredVariables: template.variables,
    });
    expect(findings).toEqual({ errors: [], warnings: [] });
  });
});

describe.each(SYSTEM_TEMPLATES.filter(({ slug }) => slug !== INVITATION_TEMPLATE))('$slug', (template) => {
  const source = {
    subject: template.subject,
    html: template.html,
    text: template.text,
    previewText: template.previewText,
  };

  it('shows link, sender, purpose and wording in HTML and text, escaped in HTML', () => {
    const compiled = compileContent(source, { unsubscribeLink: false, trackOpens: false, trackClicks: false });
    const { subject, html, text } = render(compiled, context);
    expect(subject).toContain('Newsletter from Müller & Söhne');
    expect(html).toContain('href="https:');
    expect(html).toContain('confirm');
    expect(html).toContain('I would like &lt;b&gt;news&lt;');
    expect(text).toContain('https://mail.example/confirm/abc\n');
    expect(text).toContain('I would like <b>news</b>.');
    expect(text).toContain('Main Street 1');
  });

  it('does without wording and postal address', () => {
    const compiled = compileContent(source, { unsubscribeLink: false, trackOpens: false, trackClicks: false });
    const { html } = render(compiled, { ...context, wording: '', workspace_address: '' });
    expect(html).not.toContain('border-left');
    expect(html).not.toContain('Main Street');
  });
});

test('the invitation shows who invites, the role and the link', () => {
  const template = SYSTEM_TEMPLATES.find(({ slug }) => slug === INVITATION_TEMPLATE);
  if (!template) throw new Error('no such template');
  const { subject, html: htmlTemplate, text: textTemplate, previewText } = template;
  const compiled = compileContent(
    { subject, html: htmlTemplate, text: textTemplate, previewText },
    { unsubscribeLink: false, trackOpens: false, trackClicks: false },
  );
  const { html, text } = render(compiled, {
    workspace_name: 'Müller & Söhne',
    invited_by: 'Ada <Lovelace>',
    role: 'approver',
    invitation_url: 'https://mail.example/invitations/abc',
  });
  expect(html).toContain('Ada &lt;Lovelace&gt; invites you to work in Müller &amp; Söhne as approver.');
  expect(html.replaceAll('&#x2f;', '/')).toContain('href="https://mail.example/invitations/abc"');
  expect(text).toContain('https://mail.example/invitations/abc\n');
});
