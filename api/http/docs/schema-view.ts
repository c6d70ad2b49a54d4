import type { Schema } from './document';
import { type Html, html } from './html';

/** Deeper objects are shown as "object"; the document itself has them. */
const MAX_DEPTH = 4;

export function schemaAnchor(name: string): string {
  return `schema-${name}`;
}

/** The type of a value in a few words: "array of string", "integer or null", a link to a named schema. */
export function typeOf(schema: Schema): Html {
  if (schema.$ref) {
    const name = schema.$ref.split('/').at(-1) ?? '';
    return html`<a href="#${schemaAnchor(name)}">${name}</a>`;
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return join(choices.map(typeOf), ' or ');
  if (schema.allOf) return join(schema.allOf.map(typeOf), ' and ');
  if (schema.enum) return join(schema.enum.map(literal), ' | ');
  if (schema.const !== undefined) return literal(schema.const);
  if (schema.items) return html`array of ${typeOf(schema.items)}`;
  const types = [schema.type ?? 'any'].flat();
  return html`${types.join(' or ')}${schema.format ? ` (${schema.format})` : ''}`;
}

function literal(value: unknown): Html {
  return html`<code>${JSON.stringify(value)}</code>`;
}

function join(parts: Html[], separator: string): Html {
  return html`${parts.map((part, index) => [index > 0 ? separator : '', part])}`;
}

/** Bounds and default, for example "1 to 200, default 50". */
export function limitsOf(schema: Schema): string {
  const low = schema.minimum ?? schema.minLength ?? schema.minItems;
  const high = schema.maximum ?? schema.maxLength ?? schema.maxItems;
  const unit = schema.type === 'string' ? ' characters' : schema.type === 'array' ? ' items' : '';
  const range =
    low !== undefined && high !== undefined
      ? `${low} to ${high}${unit}`
      : high !== undefined
        ? `at most ${high}${unit}`
        : low !== undefined
          ? `at least ${low}${unit}`
          : '';
  const standard = schema.default === undefined ? '' : `default ${JSON.stringify(schema.default)}`;
  return [range, standard].filter(Boolean).join(', ');
}

/** The object below arrays and "or null", whose fields are worth a row each. */
function objectWithin(schema: Schema): Schema | null {
  if (schema.properties) return schema;
  if (schema.items) return objectWithin(schema.items);
  for (const choice of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])]) {
    const found = objectWithin(choice);
    if (found) return found;
  }
  return null;
}

function rows(schema: Schema, prefix: string, depth: number): Html[] {
  const object = objectWithin(schema);
  if (!object || depth > MAX_DEPTH) return [];
  return Object.entries(object.properties ?? {}).flatMap(([name, field]) => {
    const required = object.required?.includes(name);
    return [
      html`<tr><td><code>${prefix}${name}</code>${required ? html` <span class="required">required</span>` : ''}</td><td>${typeOf(field)}</td><td>${[field.description, limitsOf(field)].filter(Boolean).join('; ')}</td></tr>`,
      ...rows(field, `${prefix}${name}.`, depth + 1),
    ];
  });
}

/** A schema as a table of its fields, or as its type where it has none. */
export function schemaTable(schema: Schema): Html {
  const fields = schema.$ref ? [] : rows(schema, '', 1);
  if (fields.length === 0) return html`<p class="type">${typeOf(schema)}</p>`;
  const isList = schema.items !== undefined;
  return html`${isList ? html`<p class="type">array of</p>` : ''}<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>${fields}</tbody></table>`;
}
