import type { Environment } from 'minijinja-js';
import { createEnvironment } from './engine';
import { readHtml, type SourceAttribute, splice } from './html-source';
import { analyseTemplate, type TemplateAnalysis } from './references';

/** The variable that click links begin with; link n is its value followed by n. Authors can't use the name. */
export const CLICK_BASE_VARIABLE = '_click_base';

/** More distinct links than any message has; it keeps link tables and token payloads small. */
export const MAX_LINKS = 1_000;

export interface ExtractedLinks {
  /** The HTML with each tracked href replaced by `{{ _click_base|safe }}<index>`; every other byte as it was. */
  readonly html: string;
  /** Distinct targets in order of first appearance: the version's link table. */
  readonly links: readonly string[];
}

/**
 * Finds the links of an HTML template that clicks are counted on: `<a>` and `<area>` with an absolute http(s) target
 * that is the same for every recipient. Left as they are: mailto:, tel:, fragments and other schemes; links in
 * comments (also Outlook's conditional ones); and links with Jinja in them, unless all their variables have values in
 * `constants` (campaign-level values that no recipient's data can override): then the target is what they render to.
 * A link that differs by recipient can't be in the table, and a table per recipient would make every click a look-up.
 */
export function extractLinks(html: string, constants: Readonly<Record<string, unknown>> = {}): ExtractedLinks {
  const analysis = analyseTemplate(html);
  const { attributes } = readHtml(html, analysis.segments);
  const indexes = new Map<string, number>();
  const edits: { start: number; end: number; text: string }[] = [];
  const resolve = createResolver(html, analysis, constants);
  for (const attribute of attributes) {
    if (attribute.name !== 'href' || (attribute.tag !== 'a' && attribute.tag !== 'area')) continue;
    const target = resolve(attribute);
    if (target === null) continue;
    const index = indexes.get(target) ?? indexes.size;
    if (index >= MAX_LINKS) continue;
    indexes.set(target, index);
    const quote = attribute.quoted ? '' : '"';
    const text = `${quote}{{ ${CLICK_BASE_VARIABLE}|safe }}${index}${quote}`;
    edits.push({ start: attribute.valueStart, end: attribute.valueEnd, text });
  }
  return { html: splice(html, edits), links: [...indexes.keys()] };
}

type Resolver = (attribute: SourceAttribute) => string | null;

function createResolver(
  html: string,
  analysis: TemplateAnalysis,
  constants: Readonly<Record<string, unknown>>,
): Resolver {
  let environment: Environment | null = null;
  const evaluate = (source: string): string | null => {
    environment ??= createEnvironment({ debug: false });
    try {
      return environment.renderStr(source, constants);
    } catch {
      // What is wrong with the template is the lint's business; here it only means: not a constant.
      return null;
    }
  };
  return ({ value, valueStart, valueEnd }) => {
    const code = analysis.segments.filter(
      ({ kind, start, end }) => kind !== 'text' && start < valueEnd && end > valueStart,
    );
    if (code.length === 0) return trackable(value);
    if (code.some(({ kind, start, end }) => kind !== 'output' || start < valueStart || end > valueEnd)) return null;
    const tokens = code.flatMap((segment) => segment.tokens);
    const references = analysis.references.filter(({ start, end }) => start >= valueStart && end <= valueEnd);
    // Names and dots only, and every name a reference: no filter, loop variable or calculation.
    const plain = tokens.every(({ kind, text }) => kind === 'name' || text === '.');
    const names = tokens.filter(({ kind }) => kind === 'name').length;
    if (!plain || references.reduce((sum, { path }) => sum + path.length, 0) !== names) return null;
    if (!references.every(({ path }) => Object.hasOwn(constants, path[0] ?? ''))) return null;
    const rendered = evaluate(html.slice(valueStart, valueEnd));
    return rendered === null ? null : trackable(rendered.replaceAll('&amp;', '&'));
  };
}

function trackable(href: string): string | null {
  const target = href.trim();
  return /^https?:\/\/[^\s/]/i.test(target) && URL.canParse(target) ? target : null;
}
