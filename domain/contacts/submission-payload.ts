import { z } from 'zod';
import type { FieldChanges } from './fields';
import type { ProfileChanges } from './submissions';

/**
 * The stored form of a submission (`submissions.payload`): what changed, with the field names of the API. Absent means
 * unchanged, null removes.
 */
export interface SubmissionPayload {
  readonly email?: string | undefined;
  readonly first_name?: string | null | undefined;
  readonly last_name?: string | null | undefined;
  readonly locale?: string | null | undefined;
  readonly time_zone?: string | null | undefined;
  readonly tags?: ProfileChanges['tags'];
  readonly fields?: FieldChanges | undefined;
}

export function toSubmissionPayload(changes: ProfileChanges): SubmissionPayload {
  return {
    email: changes.email,
    first_name: changes.firstName,
    last_name: changes.lastName,
    locale: changes.locale,
    time_zone: changes.timeZone,
    tags: changes.tags,
    fields: changes.fields,
  };
}

const text = z.string().nullable().optional();
const tagList = z.array(z.string()).optional();

const payloadSchema: z.ZodType<SubmissionPayload> = z.object({
  email: z.string().optional(),
  first_name: text,
  last_name: text,
  locale: text,
  time_zone: text,
  tags: z.object({ set: tagList, add: tagList, remove: tagList }).optional(),
  fields: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string()), z.null()]))
    .optional(),
});

/** Reads a stored submission; throws a ZodError if it is none. */
export function fromSubmissionPayload(payload: unknown): ProfileChanges {
  const read = payloadSchema.parse(payload);
  return {
    email: read.email,
    firstName: read.first_name,
    lastName: read.last_name,
    locale: read.locale,
    timeZone: read.time_zone,
    tags: read.tags,
    fields: read.fields,
  };
}
