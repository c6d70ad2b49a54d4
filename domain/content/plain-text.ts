import { convert } from 'html-to-text';
import { lexTemplate } from './jinja-lexer';

/** Private-use characters stand for a piece of Jinja code while HTML becomes text. */
const PLACEHOLDER = /\ue000(\d+)\ue001/g;

/**
 * The text template for an HTML template without one. Jinja code is carried over unchanged, so loops and conditions
 * work in the text as they do in the HTML. Link targets stand in brackets behind their texts.
 */
export function deriveText(html: string): string {
  const code: string[] = [];
  const withPlaceholders = lexTemplate(html)
    .map(({ kind, start, end }) => {
      const source = html.slice(start, end);
      return kind === 'text' ? source.replace(/[\ue000\ue001]/g, '') : `\ue000${code.push(source) - 1}\ue001`;
    })
    .join('');
  const text = convert(withPlaceholders, {
    wordwrap: false,
    limits: { maxDepth: 500, ellipsis: '' },
    selectors: [
      ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
      { selector: 'a', options: { hideLinkHrefIfSameAsText: true, ignoreHref: false, noAnchorUrl: true } },
      { selector: 'img', format: 'skip' },
      { selector: 'td', format: 'block', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
      // Hidden by their makers' style sheets: the text before the text that mail clients show in their lists.
      { selector: '.preheader', format: 'skip' },
      { selector: '[hidden]', format: 'skip' },
    ],
  });
  return text.replace(PLACEHOLDER, (_match, index: string) => code[Number(index)] ?? '').replace(/\n{3,}/g, '\n\n');
}
