import { extendZodWithOpenApi } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { normaliseEmail, parseLocale } from '../../domain/contacts';
import { canonicalTimeZone } from '../../domain/shared/zones';
import { isUuid } from '../../platform/ids';
import { Problem } from './problem';

extendZodWithOpenApi(z);

export { z };

/** A UUID in canonical lower case; upper case is accepted and lowered. */
export const id = z.uuid().transform((value) => value.toLowerCase());

/** A moment with offset, RFC 3339. Postgres reads offsets below 16 hours; those in use end at 14. */
export const moment = z.iso
  .datetime({ offset: true })
  .refine((value) => !/[+-](?:1[6-9]|2\d):\d\d$/.test(value), 'must have an offset of less than 16 hours');

/** The control characters (Unicode's Cc) without the flag that \p{Cc} needs: a JSON Schema cannot carry flags. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it refuses them
const ONE_LINE = /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/;

/** One line of text that may stand in a mail header: no control characters (CR, LF, NUL would inject headers). */
export function headerText(max: number) {
  return z.string().max(max).regex(ONE_LINE, 'must be one line without control characters');
}

/** Text for the database: NUL cannot be stored by Postgres. */
export function plainText(max: number) {
  return z
    .string()
    .max(max)
    .refine((value) => !value.includes('\0'), 'must not contain NUL');
}

/** An address in its normalised form (domain/contacts/email.ts). */
export const emailAddress = z
  .string()
  .max(1_000)
  .transform((value, context) => {
    const normalised = normaliseEmail(value);
    if (normalised.ok) return normalised.email;
    context.addIssue({ code: 'custom', message: normalised.message });
    return z.NEVER;
  })
  .openapi({ format: 'email' });

/** An IANA time zone in its usual spelling. */
export const timeZone = z
  .string()
  .max(64)
  .transform((value, context) => {
    const zone = canonicalTimeZone(value);
    if (zone !== null) return zone;
    context.addIssue({ code: 'custom', message: 'must be an IANA time zone, for example "Europe/Berlin"' });
    return z.NEVER;
  })
  .openapi({ example: 'Europe/Berlin' });

/** A BCP 47 language tag in its canonical form. */
export const locale = z
  .string()
  .max(35)
  .transform((value, context) => {
    const tag = parseLocale(value);
    if (tag !== null) return tag;
    context.addIssue({ code: 'custom', message: 'must be a BCP 47 language tag, for example "pt-BR"' });
    return z.NEVER;
  })
  .openapi({ example: 'pt-BR' });

/** A JSON object of at most `maxBytes` bytes, without NUL, which Postgres cannot store. */
export function jsonObject(maxBytes: number) {
  return z
    .record(z.string(), z.unknown())
    .refine(
      (value) => Buffer.byteLength(JSON.stringify(value)) <= maxBytes,
      `must be at most ${maxBytes} bytes of JSON`,
    )
    .refine((value) => !JSON.stringify(value).includes('\\u0000'), 'must not contain NUL');
}

/** `limit` and `cursor` of every list. */
export const pageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(500).optional(),
});

/** A page of items with the cursor of the next one, null at the end. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ items: z.array(item), next_cursor: z.string().nullable() });
}

/** Opaque cursor of the last item's sort key. */
export function encodeCursor(key: string[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

/** The sort key of a cursor with `parts` parts; 422 when it is not one of ours. */
export function decodeCursor(cursor: string | undefined, parts: number): string[] | null {
  if (cursor === undefined) return null;
  try {
    const parsed = z
      .array(z.string().max(400))
      .length(parts)
      .parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
    return parsed;
  } catch {
    throw badCursor();
  }
}

/** The id of a cursor of a list that is sorted by id; 422 when it is not one of ours. */
export function decodeIdCursor(cursor: string | undefined): string | null {
  const [key] = decodeCursor(cursor, 1) ?? [null];
  if (key === null || key === undefined) return null;
  if (!isUuid(key)) throw badCursor();
  return key;
}

function badCursor(): Problem {
  const detail = 'The cursor is not one that this list gave out. Leave it away to start from the beginning.';
  return new Problem('validation-failed', detail, { errors: [{ pointer: '/query/cursor', detail }] });
}

/** Cuts a page out of `limit + 1` rows. */
export function cutPage<Row, Item>(rows: Row[], limit: number, key: (row: Row) => string[], item: (row: Row) => Item) {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(item),
    next_cursor: rows.length > limit && last !== undefined ? encodeCursor(key(last)) : null,
  };
}

/** What was started: its id, run and a link to the Temporal UI. */
export const workflowReference = z.object({
  workflow_id: z.string(),
  run_id: z.string().nullable(),
  ui_url: z.string(),
});

/** The problem+json document of every error. */
export const problemDocument = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    instance: z.string(),
    errors: z
      .array(
        z.object({
          pointer: z.string(),
          detail: z.string(),
          line: z.number().int().optional(),
          column: z.number().int().optional(),
        }),
      )
      .optional(),
  })
  .loose()
  .openapi('Problem');
