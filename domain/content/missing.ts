import type { ContentSource } from './compile';
import type { RenderContext } from './context';
import { analyseTemplate } from './references';

export interface MissingVariable {
  /** Such as "fields.plan". */
  readonly name: string;
  readonly parts: readonly string[];
  /** Every use provides for its absence (`default`, `is defined`, a condition). */
  readonly optional: boolean;
}

/**
 * The variables that a message refers to and a context does not have (null counts as missing): what a preview warns
 * about. Variables bound by loops and macros are not looked into. In alphabetical order.
 */
export function findMissing(source: ContentSource, context: RenderContext): MissingVariable[] {
  const missing = new Map<string, { parts: Set<string>; optional: boolean }>();
  for (const part of ['subject', 'previewText', 'html', 'text'] as const) {
    for (const { path, optional } of analyseTemplate(source[part] ?? '').references) {
      if (hasPath(context, path)) continue;
      const name = path.join('.');
      const entry = missing.get(name) ?? { parts: new Set<string>(), optional: true };
      entry.parts.add(part);
      entry.optional &&= optional;
      missing.set(name, entry);
    }
  }
  return [...missing]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { parts, optional }]) => ({ name, parts: [...parts], optional }));
}

function hasPath(context: RenderContext, path: readonly string[]): boolean {
  let value: unknown = context;
  for (const name of path) {
    if (typeof value === 'string' || Array.isArray(value)) return true;
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return false;
    value = Reflect.get(value, name);
  }
  return value !== undefined && value !== null;
}
