import { TEMPLATE_CATEGORIES, type TemplateRow } from '../../db/content';
import { headerText, moment, plainText, z } from '../http/schemas';

/** Room for content that is too large, so that the refusal can name the field; domain/content has the real limit. */
export const CONTENT_BODY_LIMIT = 24 * 1024 * 1024;

/** Values of template variables: JSON of at most 64 KiB. */
export const contextValues = z
  .record(z.string().min(1).max(100), z.unknown())
  .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= 64 * 1024, 'must have at most 64 KiB as JSON')
  .openapi({ type: 'object', additionalProperties: true, description: 'Variables of the template.' });

const variable = z.strictObject({
  name: z
    .string()
    .max(100)
    .regex(/^[A-Za-z][A-Za-z0-9_]*$/, 'must begin with a letter and hold letters, digits and underscores'),
  default: z.unknown().optional().openapi({ description: 'Used where no other layer of the context has a value.' }),
  required: z.boolean().optional().openapi({ description: 'Transactional mail without it is refused.' }),
  description: plainText(500).optional(),
});

/** Declared variables of a template; each name once. */
export const templateVariables = z
  .array(variable)
  .max(200)
  .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'declares a variable twice')
  .refine((all) => Buffer.byteLength(JSON.stringify(all)) <= 64 * 1024, 'must have at most 64 KiB as JSON');

/** A subject is one line: a line break would add headers to the message (RFC 5322, 2.2). */
export const subjectTemplate = headerText(CONTENT_BODY_LIMIT);
export const bodyTemplate = plainText(CONTENT_BODY_LIMIT);

const identity = {
  name: headerText(255).min(1),
  slug: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,99}$/, 'must be 1 to 100 lower-case letters, digits and hyphens')
    .openapi({ example: 'welcome' }),
  category: z.enum(TEMPLATE_CATEGORIES),
  is_active: z.boolean(),
};
const content = {
  subject_template: subjectTemplate.min(1),
  body_html: bodyTemplate.min(1),
  body_text: bodyTemplate.nullable(),
  preview_text: subjectTemplate,
  variables: templateVariables,
};

export const newTemplate = z.strictObject({
  ...identity,
  ...content,
  is_active: identity.is_active.default(true),
  body_text: content.body_text.default(null).openapi({ description: 'Derived from the HTML when absent.' }),
  preview_text: content.preview_text.default(''),
  variables: content.variables.default([]),
});

export const templateChange = z.strictObject({ ...identity, ...content }).partial();

/** Something the lint found that does not stand in the way. */
export const warning = z.object({
  code: z.string(),
  pointer: z.string(),
  detail: z.string(),
  line: z.number().int().optional(),
  column: z.number().int().optional(),
});

export const templateDocument = z
  .object({
    id: z.uuid(),
    name: z.string(),
    slug: z.string(),
    category: z.enum(TEMPLATE_CATEGORIES),
    subject_template: z.string(),
    body_html: z.string(),
    body_text: z.string().nullable(),
    preview_text: z.string(),
    variables: z.array(variable),
    is_active: z.boolean(),
    version: z.number().int().openapi({ description: 'Raised by every change of the content.' }),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Template');

export const savedTemplate = templateDocument.extend({ warnings: z.array(warning) });

export function toTemplate(row: TemplateRow) {
  return {
    id: row.id,
    name: row.name,
    slug: row.slug,
    category: row.category,
    subject_template: row.subject_template,
    body_html: row.body_html,
    body_text: row.body_text,
    preview_text: row.preview_text,
    variables: row.variables,
    is_active: row.is_active,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
