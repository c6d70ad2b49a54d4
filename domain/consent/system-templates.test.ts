import { compileContent, lintTemplate, render } from '../content';
import { mailLanguage } from './page-texts';
import { INVITATION_TEMPLATE, SYSTEM_TEMPLATES } from './system-templates';

test('there is each of them in three languages, and no two say the same', () => {
  expect(SYSTEM_TEMPLATES.map(({ slug }) => slug)).toEqual(
    ['', '-de', '-fr'].flatMap((language) =>
      ['opt-in-confirmation', 'opt-in-reminder', 'workspace-invitation'].map((slug) => slug + language),
    ),
  );
  for (const pick of ['subject', 'previewText', 'html', 'text'] as const) {
    expect(new Set(SYSTEM_TEMPLATES.map((template) => template[pick])).size).toBe(SYSTEM_TEMPLATES.length);
  }
  for (const { slug, html } of SYSTEM_TEMPLATES) {
    expect(html).toContain(`<html lang="${/-(de|fr)$/.exec(slug)?.[1] ?? 'en'}">`);
  }
});

test.each([
  [['de-AT', 'fr'], 'de'],
  [[null, undefined, 'FR-ch'], 'fr'],
  [['ja', '', 'de'], 'de'],
  [['ja'], 'en'],
  [[], 'en'],
])('a mail to %j is in %s', (locales, language) => {
  expect(mailLanguage(...locales)).toBe(language);
});

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

describe.each(SYSTEM_TEMPLATES.filter(({ slug }) => !slug.startsWith(INVITATION_TEMPLATE)))('$slug', (template) => {
  const source = {
    subject: template.subject,
    html: template.html,
    text: template.text,
    previewText: template.previewText,
  };

  it('shows link, sender, purpose and wording in HTML and text, escaped in HTML', () => {
    const compiled = compileContent(source, { unsubscribeLink: false, trackOpens: false, trackClicks: false });
    const { subject, html, text } = render(compiled, context);
    expect(subject).toMatch(/Newsletter (from|von|de) Müller & Söhne/);
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
