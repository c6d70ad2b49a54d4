import { QuoteType, Tokenizer } from 'htmlparser2';
import { lexTemplate, type Segment } from './jinja-lexer';

/** An attribute of a start tag, with the place of its value in the source. */
export interface SourceAttribute {
  readonly tag: string;
  readonly name: string;
  /** With character references decoded; Jinja code in it is replaced by filler. */
  readonly value: string;
  readonly valueStart: number;
  readonly valueEnd: number;
  readonly quoted: boolean;
}

/** What one needs to know to edit an HTML template without changing any other byte of it. */
export interface HtmlSource {
  readonly attributes: readonly SourceAttribute[];
  /** Position after `<body …>`, or null. */
  readonly bodyStart: number | null;
  /** Position before the last `</body>` (or `</html>` if there is none), or null. */
  readonly bodyEnd: number | null;
  readonly comments: readonly { readonly start: number; readonly end: number }[];
}

/**
 * Reads an HTML template. Jinja code is masked first, character by character, because `{% if a < b %}` is no tag and
 * a quote inside `{{ … }}` ends no attribute; so all positions are positions in the template.
 */
export function readHtml(html: string, segments: readonly Segment[] = lexTemplate(html)): HtmlSource {
  const masked = maskJinja(html, segments);
  const attributes: SourceAttribute[] = [];
  const comments: { start: number; end: number }[] = [];
  let tag = '';
  let name = '';
  let value = '';
  let valueStart = -1;
  let bodyStart: number | null = null;
  let bodyEnd: number | null = null;
  let htmlEnd: number | null = null;
  const endOfTag = (position: number): void => {
    if (tag === 'body' && bodyStart === null) bodyStart = position + 1;
  };
  const tokenizer = new Tokenizer(
    { decodeEntities: true, xmlMode: false },
    {
      onopentagname: (start, end) => {
        tag = masked.slice(start, end).toLowerCase();
      },
      onattribname: (start, end) => {
        name = masked.slice(start, end).toLowerCase();
        value = '';
        valueStart = -1;
      },
      onattribdata: (start, end) => {
        if (valueStart < 0) valueStart = start;
        value += masked.slice(start, end);
      },
      onattribentity: (codepoint) => {
        value += String.fromCodePoint(codepoint);
      },
      onattribend: (quote, end) => {
        const quoted = quote === QuoteType.Double || quote === QuoteType.Single;
        const valueEnd = quoted ? end - 1 : end;
        // A value that begins with a character reference has no data before it; look back for its own quote.
        const start = quoted ? masked.lastIndexOf(masked[valueEnd] ?? '"', valueEnd - 1) + 1 : valueStart;
        if (start >= 0) attributes.push({ tag, name, value, valueStart: start, valueEnd, quoted });
      },
      onopentagend: endOfTag,
      onselfclosingtag: endOfTag,
      onclosetag: (start, end) => {
        const closed = masked.slice(start, end).toLowerCase();
        if (closed === 'body') bodyEnd = start - 2;
        else if (closed === 'html') htmlEnd = start - 2;
      },
      oncomment: (start, end) => {
        comments.push({ start: start - 4, end: end + 1 });
      },
      oncdata: () => undefined,
      ondeclaration: () => undefined,
      onend: () => undefined,
      onprocessinginstruction: () => undefined,
      ontext: () => undefined,
      ontextentity: () => undefined,
    },
  );
  tokenizer.write(masked);
  tokenizer.end();
  return { attributes, bodyStart, bodyEnd: bodyEnd ?? htmlEnd, comments };
}

/** Puts texts into a source, each at its position, in one pass. */
export function splice(
  source: string,
  edits: readonly { readonly start: number; readonly end: number; readonly text: string }[],
): string {
  const pieces: string[] = [];
  let at = 0;
  for (const { start, end, text } of [...edits].sort((a, b) => a.start - b.start)) {
    pieces.push(source.slice(at, start), text);
    at = end;
  }
  pieces.push(source.slice(at));
  return pieces.join('');
}

function maskJinja(html: string, segments: readonly Segment[]): string {
  return segments
    .map(({ kind, start, end }) => (kind === 'text' ? html.slice(start, end) : 'x'.repeat(end - start)))
    .join('');
}
