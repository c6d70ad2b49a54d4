import type { ContactRow } from '../../db/contacts';
import { id, moment, pageOf, z } from '../http/schemas';

export const CONTACTS = '/workspaces/{ws}/contacts';
export const TAG = 'Contacts';

/** A custom field's value; its type is the definition's. */
export const fieldValue = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]).openapi({
  description: 'text, number, boolean, date (YYYY-MM-DD), datetime (ISO 8601), enum, url or list of texts',
});

export const contactStatus = z.enum(['ACTIVE', 'UNSUBSCRIBED', 'BOUNCED', 'COMPLAINED']);

export const contact = z
  .object({
    id,
    email: z.string(),
    status: contactStatus,
    first_name: z.string().nullable(),
    last_name: z.string().nullable(),
    locale: z.string().nullable(),
    time_zone: z.string().nullable(),
    tags: z.array(z.string()),
    fields: z.record(z.string(), fieldValue),
    external_ids: z.array(z.object({ kind: z.string(), value: z.string() })),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Contact');

export const contactPage = pageOf(contact);
export const contactParams = z.object({ contact_id: id });

export function showContact(row: ContactRow): z.input<typeof contact> {
  return {
    id: row.id,
    email: row.email,
    status: row.status,
    first_name: row.first_name || null,
    last_name: row.last_name || null,
    locale: row.locale,
    time_zone: row.time_zone,
    tags: row.tags,
    fields: { ...row.fields } as z.input<typeof contact>['fields'],
    external_ids: row.external_ids,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
