import { findContact } from '../../db/contacts';
import { readTimeline, TIMELINE_KINDS, type TimelinePlace } from '../../db/contacts/timeline';
import { notFound, Problem } from '../http/problem';
import { type AnyRoute, defineRoute } from '../http/route';
import { cutPage, decodeCursor, id, moment, pageOf, pageQuery, z } from '../http/schemas';
import { CONTACTS, contactParams, TAG } from './schemas';

const item = z
  .object({
    kind: z.enum(TIMELINE_KINDS),
    id,
    at: moment,
    details: z.record(z.string(), z.unknown()).openapi({
      description:
        'submission: origin, origin_id, payload, actor_id. consent: purpose, purpose_id, channel, status, source, ' +
        'wording_version. membership: audience_id, change. message: source_type, source_id, class, status, reason, sent_at, ' +
        'message_id, campaign_id, subject (as written). engagement: kind, actor, delivery_id, source_id, link.',
    }),
  })
  .openapi('TimelineItem');

const query = pageQuery.extend({
  kinds: z
    .string()
    .max(200)
    .transform((text, context) => {
      const kinds = z.array(z.enum(TIMELINE_KINDS)).min(1).safeParse(text.split(','));
      if (kinds.success) return kinds.data;
      context.addIssue({
        code: 'custom',
        message: `must be some of ${TIMELINE_KINDS.join(', ')}, with commas between`,
      });
      return z.NEVER;
    })
    .optional()
    .openapi({
      type: 'string',
      description: `Some of ${TIMELINE_KINDS.join(', ')}, with commas between; default all.`,
    }),
});

/** The place in a cursor; 422 for anything else. */
function placeOf(cursor: string | undefined): TimelinePlace | null {
  const parts = decodeCursor(cursor, 2);
  if (parts === null) return null;
  const place = z.object({ at: z.iso.datetime(), id }).safeParse({ at: parts[0], id: parts[1] });
  if (place.success) return place.data;
  const detail = 'The cursor is not one that this list gave out. Leave it away to start from the beginning.';
  throw new Problem('validation-failed', detail, { errors: [{ pointer: '/query/cursor', detail }] });
}

const getTimeline = defineRoute({
  operationId: 'getContactTimeline',
  method: 'get',
  path: `${CONTACTS}/{contact_id}/timeline`,
  tag: TAG,
  summary: 'Lists what happened to a contact, newest first',
  description:
    'Changes of the profile, consents, memberships, messages (where they were put into the ledger) and what came of ' +
    'them, of this contact and of those that were merged into it.',
  access: 'workspace',
  permission: 'contacts:read',
  params: contactParams,
  query,
  responses: { 200: { description: 'A page of the timeline', schema: pageOf(item) } },
  async handle({ tx, workspaceId }, input) {
    const { limit, cursor, kinds } = input.query;
    const before = placeOf(cursor);
    const contact = await findContact(tx, workspaceId, input.params.contact_id);
    if (!contact) throw notFound('contact');
    const rows = await readTimeline(tx, workspaceId, contact.id, { kinds: kinds ?? TIMELINE_KINDS, before, limit });
    return {
      status: 200,
      body: cutPage(
        rows,
        limit,
        (row) => [row.at_text, row.id],
        (row) => ({ kind: row.kind, id: row.id, at: row.at.toISOString(), details: row.details }),
      ),
    };
  },
});

/** Operations about what happened to a contact. */
export const timelineRoutes: AnyRoute[] = [getTimeline];
