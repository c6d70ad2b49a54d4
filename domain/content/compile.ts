import { classifyExecution, type Execution } from './growth';
import { readHtml, splice } from './html-source';
import { lexTemplate } from './jinja-lexer';
import { CLICK_BASE_VARIABLE, extractLinks } from './links';
import { deriveText } from './plain-text';
import { analyseTemplate, type TemplateAnalysis } from './references';

/** A message as its author wrote it. */
export interface ContentSource {
  readonly subject: string;
  readonly html: string;
  /** Derived from the HTML if absent or empty. */
  readonly text?: string | null | undefined;
  /** Shown by mail clients behind the subject; becomes a hidden first line of the HTML. */
  readonly previewText?: string | null | undefined;
}

export interface CompileOptions {
  /** Whether a visible unsubscribe link is added where there is none: for all bulk mail. */
  readonly unsubscribeLink: boolean;
  readonly trackOpens: boolean;
  readonly trackClicks: boolean;
  /** Values that are the same for every recipient; links made of them can be tracked. See `extractLinks`. */
  readonly constants?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * A message ready to be rendered for each recipient. Plain data: an approval pins its canonical hash, and equal
 * sources and options give equal results.
 */
export interface CompiledContent {
  readonly subject: string;
  readonly html: string;
  readonly text: string;
  /** Click targets; link n of a message is its token followed by n. */
  readonly links: readonly string[];
  /**
   * What the templates read of the context: name → null for all of it, or the properties that are used. Only these
   * are handed to the engine, since handing over costs more than rendering.
   */
  readonly reads: Readonly<Record<string, readonly string[] | null>>;
  readonly execution: Execution;
}

/** The variable with the URL of the open-tracking pixel. Authors can't use the name. */
export const OPEN_URL_VARIABLE = '_open_url';

/** Variables whose values are URLs of ours: written as they are, since escaped slashes look like an attempt to hide. */
export const OUR_URLS: ReadonlySet<string> = new Set([
  ...[
    'unsubscribe_url',
    'preferences_url',
    'confirm_url',
    'invitation_url',
    'gate_url',
    CLICK_BASE_VARIABLE,
    OPEN_URL_VARIABLE,
  ],
]);

/**
 * Compiles a message, once per version. Order matters: the text is derived from the author's HTML, before links are
 * rewritten and hidden parts are added.
 */
export function compileContent(source: ContentSource, options: CompileOptions): CompiledContent {
  const withFooter = options.unsubscribeLink
    ? ensureUnsubscribe(source.html, textOf(source))
    : { html: source.html, text: textOf(source) };
  let html = withFooter.html;
  let links: readonly string[] = [];
  if (options.trackClicks) ({ html, links } = extractLinks(html, options.constants));
  html = insertPreheader(html, source.previewText ?? '');
  if (options.trackOpens) html = insertPixel(html);
  html = writeOurUrlsPlainly(html);
  const analyses = [source.subject, html, withFooter.text].map(analyseTemplate);
  return {
    subject: source.subject,
    html,
    text: withFooter.text,
    links,
    reads: readsOf(analyses),
    execution: analyses.some((analysis) => classifyExecution(analysis) === 'isolated') ? 'isolated' : 'in-process',
  };
}

/**
 * Adds a small footer to each part that does not show `{{ unsubscribe_url }}` to everybody. A link inside an `if`, a
 * loop or a comment does not count.
 */
export function ensureUnsubscribe(html: string, text: string): { html: string; text: string } {
  return {
    html: showsUnsubscribe(html, true) ? html : insertBeforeBodyEnd(html, HTML_FOOTER),
    text: showsUnsubscribe(text, false)
      ? text
      : `${text.replace(/\n+$/, '')}\n\n-- \nUnsubscribe: {{ unsubscribe_url }}\n`,
  };
}

const HTML_FOOTER =
  '<p style="margin:24px 0 0;text-align:center;font:12px/1.5 sans-serif;color:#777777">' +
  '<a href="{{ unsubscribe_url }}" style="color:#777777">Unsubscribe</a></p>';

function textOf(source: ContentSource): string {
  const text = source.text ?? '';
  return text.trim() === '' ? deriveText(source.html) : text;
}

function showsUnsubscribe(template: string, isHtml: boolean): boolean {
  const { references, segments } = analyseTemplate(template);
  const comments = isHtml ? readHtml(template, segments).comments : [];
  return references.some(
    ({ path, start, unconditional }) =>
      path[0] === 'unsubscribe_url' &&
      unconditional &&
      !comments.some((comment) => comment.start <= start && start < comment.end),
  );
}

function insertPreheader(html: string, previewText: string): string {
  if (previewText.trim() === '') return html;
  const style = 'display:none;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all';
  const text = `<div style="${style}">${escapeOutsideJinja(previewText)}</div>`;
  const at = readHtml(html).bodyStart ?? 0;
  return splice(html, [{ start: at, end: at, text }]);
}

function insertPixel(html: string): string {
  return insertBeforeBodyEnd(
    html,
    `<img src="{{ ${OPEN_URL_VARIABLE}|safe }}" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`,
  );
}

function insertBeforeBodyEnd(html: string, text: string): string {
  const at = readHtml(html).bodyEnd ?? html.length;
  return splice(html, [{ start: at, end: at, text }]);
}

function escapeOutsideJinja(template: string): string {
  return lexTemplate(template)
    .map(({ kind, start, end }) => {
      const source = template.slice(start, end);
      return kind === 'text' ? source.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;') : source;
    })
    .join('');
}

function writeOurUrlsPlainly(html: string): string {
  const edits = lexTemplate(html)
    .filter(({ kind, tokens }) => kind === 'output' && tokens.length === 1 && OUR_URLS.has(tokens[0]?.text ?? ''))
    .map(({ start, end, tokens }) => ({ start, end, text: `{{ ${tokens[0]?.text}|safe }}` }));
  return splice(html, edits);
}

/** Which variables templates read, see `CompiledContent.reads`. */
export function readsOf(analyses: readonly TemplateAnalysis[]): Record<string, readonly string[] | null> {
  const reads = new Map<string, Set<string> | null>();
  for (const { path } of analyses.flatMap(({ references }) => references)) {
    const [root = '', property] = path;
    const known = reads.get(root);
    if (property === undefined || known === null) reads.set(root, null);
    else reads.set(root, (known ?? new Set()).add(property));
  }
  const sorted = [...reads].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    sorted.map(([root, properties]) => [root, properties === null ? null : [...properties].sort()]),
  );
}
