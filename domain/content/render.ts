import { randomUUID } from 'node:crypto';
import type { Environment } from 'minijinja-js';
import type { CompiledContent } from './compile';
import { lookUp, type RecipientLayers, type RenderContext } from './context';
import { ContentError, checkedLength, createEnvironment, renderOnce, templateError } from './engine';
import { headerSafe } from './header-text';

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
  return renderValues(
    compiled,
    pickReads(compiled, (name) => (Object.hasOwn(context, name) ? context[name] : undefined)),
  );
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
  return renderValues(
    compiled,
    pickReads(compiled, (name) => lookUp(name, constants, recipient)),
  );
}

function renderValues(compiled: CompiledContent, values: RenderContext): RenderedMessage {
  const { environment, separator } = prepared.get(compiled) ?? prepare(compiled);
  let output: string;
  try {
    output = environment.renderTemplate(TEMPLATE, values);
  } catch (error) {
    prepared.delete(compiled);
    throw explain(compiled, values, error);
  }
  checkedLength(output);
  const htmlStart = output.indexOf(separator);
  const textStart = output.indexOf(separator, htmlStart + separator.length);
  return {
    subject: headerSafe(output.slice(0, htmlStart)),
    html: output.slice(htmlStart + separator.length, textStart),
    text: output.slice(textStart + separator.length),
  };
}

/** @throws ContentError if the content has syntax errors */
function prepare(compiled: CompiledContent): Prepared {
  const environment = createEnvironment({ debug: false });
  // Random, so that no recipient's data can contain it. Each part is parsed alone by the lint, so none can reach into
  // the next; `with` keeps its variables to itself.
  const separator = `\u001e${randomUUID()}\u001e`;
  const parts = [inScope(compiled.subject, 'false'), inScope(compiled.html, '"html"'), inScope(compiled.text, 'false')];
  try {
    environment.addTemplate(TEMPLATE, parts.join(separator));
  } catch (error) {
    throw explain(compiled, {}, error);
  }
  const result = { environment, separator };
  prepared.set(compiled, result);
  return result;
}

function inScope(template: string, escaping: string): string {
  return `{% with %}{% autoescape ${escaping} %}${template}{% endautoescape %}{% endwith %}`;
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
function pickReads({ reads }: CompiledContent, find: (name: string) => unknown): Record<string, unknown> {
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
