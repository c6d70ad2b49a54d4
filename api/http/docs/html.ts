/** HTML that needs no more escaping. */
export class Html {
  constructor(readonly text: string) {}
}

function escapeText(value: unknown): string {
  return String(value)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function insert(value: unknown): string {
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(insert).join('');
  return value === null || value === undefined || value === false ? '' : escapeText(value);
}

/** Template of HTML: every value is escaped unless it is Html itself. */
export function html(strings: TemplateStringsArray, ...values: unknown[]): Html {
  return new Html(strings.reduce((text, part, index) => text + insert(values[index - 1]) + part));
}

/** Text with `code` in back-quotes and blank lines between paragraphs. */
export function prose(text: string): Html[] {
  return text.split(/\n\s*\n/).map((paragraph) => {
    const parts = paragraph.split(/`([^`]+)`/);
    return html`<p>${parts.map((part, index) => (index % 2 ? html`<code>${part}</code>` : part))}</p>`;
  });
}
