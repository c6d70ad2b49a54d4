import { compileContent, lintTemplate, render } from '../content';
import { SYSTEM_TEMPLATES } from './system-templates';

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
