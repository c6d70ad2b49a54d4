import { randomBytes, randomUUID } from 'node:crypto';
import type { Environment } from 'minijinja-js';
import { type CompiledContent, OUR_URLS, readsOf } from './compile';
import { lookUp, type RecipientLayers, type RenderContext } from './context';
import { ContentError, checkedLength, createEnvironment, renderOnce, templateError } from './engine';
import { headerSafe } from './header-text';
import { analyseTemplate } from './references';
import { Skeleton } from './skeleton';

export interface RenderedMessage {
  /** One line, without control characters; to be encoded by whoever writes the header. */
  readonly subject: string;
  readonly html: string;
  readonly text: string;
}

/** The engine holds one template per content: the three parts in one, for one call per message. */
interface Prepared {
  readonly environment: Environment;
  readonly separator: string;
  /** null if the whole text goes through the engine. */
  readonly skeleton: Skeleton | null;
  /** What the engine still reads. */
  readonly engineReads: CompiledContent['reads'];
}

const TEMPLATE = 'message';

/** Environments live as long as the contents they belong to. */
const prepared = new WeakMap<CompiledContent, Prepared>();

/**
 * Renders a message: HTML escaped, subject and text not. Deterministic, and bounded in time; in memory only if
 * `compiled.execution` is "in-process": others go through the sandbox (see `createContentSandbox`).
 * @throws ContentError with the part and the place of the failure, as far as the engine tells
 */
export function render(compiled: CompiledContent, context: RenderContext): RenderedMessage {
  return renderWith(compiled, (name) => (Object.hasOwn(context, name) ? context[name] : undefined));
}

/**
 * The same as `render(compiled, addRecipient(constants, recipient))` for the sending path, which has no time to build
 * contexts: only what the content reads is looked up.
 */
export function renderForRecipient(
  compiled: CompiledContent,
  constants: RenderContext,
  recipient: RecipientLayers,
): RenderedMessage {
  return renderWith(compiled, (name) => lookUp(name, constants, recipient));
}

function renderWith(compiled: CompiledContent, find: (name: string) => unknown): RenderedMessage {
  const { environment, separator, skeleton, engineReads } = prepared.get(compiled) ?? prepare(compiled);
  const values = pickReads(engineReads, find);
  let output: string;
  try {
    output = environment.renderTemplate(TEMPLATE, values);
  } catch (error) {
    prepared.delete(compiled);
    throw explain(compiled, pickReads(compiled.reads, find), error);
  }
  checkedLength(output);
  const htmlStart = output.indexOf(separator);
  const textStart = output.indexOf(separator, htmlStart + separator.length);
  const subject = headerSafe(output.slice(0, htmlStart));
  const html = output.slice(htmlStart + separator.length, textStart);
  const text = output.slice(textStart + separator.length);
  if (skeleton === null) return { subject, html, text };
  const written = (variable: string): string => {
    const value = find(variable);
    return typeof value === 'string' ? value : '';
  };
  return {
    subject,
    html: checkedLength(skeleton.restore(html, written)),
    text: checkedLength(skeleton.restore(text, written)),
  };
}

/** @throws ContentError if the content has syntax errors */
function prepare(compiled: CompiledContent): Prepared {
  const environment = createEnvironment({ debug: false });
  // Random, so that no recipient's data can contain it. Each part is parsed alone by the lint, so none can reach into
  // the next; `with` keeps its variables to itself.
  const separator = `\u001e${randomUUID()}\u001e`;
  // Isolated templates may do anything with text, such as counting its characters.
  const isolated = compiled.execution === 'isolated';
  const skeleton = isolated ? null : new Skeleton(`\u001e${randomBytes(8).toString('hex')}`, OUR_URLS);
  const html = skeleton?.extract(compiled.html, true) ?? compiled.html;
  const text = skeleton?.extract(compiled.text, false) ?? compiled.text;
  const parts = [inScope(compiled.subject, 'false'), inScope(html, '"html"'), inScope(text, 'false')];
  try {
    environment.addTemplate(TEMPLATE, parts.join(separator));
  } catch (error) {
    throw explain(compiled, {}, error);
  }
  const engineReads = readsOf([compiled.subject, html, text].map(analyseTemplate));
  const result = { environment, separator, skeleton, engineReads };
  prepared.set(compiled, result);
  return result;
}

function inScope(template: string, escaping: string): string {
  // A brace at the very end would make a tag together with what follows it here.
  const closed = template.endsWith('{') ? `${template.slice(0, -1)}{{ "{" }}` : template;
  return `{% with %}{% autoescape ${escaping} %}${closed}{% endautoescape %}{% endwith %}`;
}

/** Renders part by part, with positions, to say where it failed. */
function explain(compiled: CompiledContent, values: RenderContext, error: unknown): ContentError {
  const detail = templateError(error);
  if (detail.code === 'ENGINE_LOST') return new ContentError(detail);
  for (const part of ['subject', 'html', 'text'] as const) {
    try {
      renderOnce(compiled[part], values, part === 'html');
    } catch (cause) {
      if (cause instanceof ContentError) return new ContentError({ ...cause.detail, part });
    }
  }
  return new ContentError(detail);
}

/**
 * The part of a context that a content reads. null and undefined are left out, at any depth, because Jinja's
 * `default` filter gives its value for what is missing only.
 */
function pickReads(reads: CompiledContent['reads'], find: (name: string) => unknown): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name in reads) {
    const value = find(name);
    if (!isPresent(value)) continue;
    const properties = reads[name];
    if (typeof value !== 'object') values[name] = value;
    else if (properties === null || properties === undefined || Array.isArray(value))
      values[name] = withoutNulls(value);
    else values[name] = withoutNulls(pick(value, properties));
  }
  return values;
}

function pick(value: object, properties: readonly string[]): object {
  const entries = new Map<string, unknown>(Object.entries(value));
  return Object.fromEntries(properties.filter((name) => entries.has(name)).map((name) => [name, entries.get(name)]));
}

/** Also turns dates into ISO texts and drops functions: the engine would call them. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.filter(isPresent).map(withoutNulls);
  const result: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (isPresent(member)) result[key] = withoutNulls(member);
  }
  return result;
}

function isPresent(value: unknown): value is string | number | boolean | bigint | symbol | object {
  return value !== null && value !== undefined && typeof value !== 'function';
}
