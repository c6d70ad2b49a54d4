import type { Gate, GateResource, GrantRow } from '../../db/gates';
import type { GateCondition } from '../../domain/gates';
import { headerText, id, jsonObject, moment, z } from '../http/schemas';

const condition = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('consent'), purpose_id: id }),
  z.strictObject({ type: z.literal('audience'), audience_id: id }),
  z.strictObject({
    type: z.literal('fields'),
    names: z
      .array(z.string().min(1).max(63))
      .min(1)
      .max(50)
      .openapi({ description: 'first_name, last_name, locale, time_zone, or names of custom fields.' }),
  }),
]);
export const policy = z.strictObject({
  match: z.enum(['all', 'any']).default('all'),
  conditions: z.array(condition).max(20),
});

const url = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .openapi({ format: 'uri' });
export const newResource = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('url'), url }),
  z.strictObject({ type: z.literal('json'), document: jsonObject(128 * 1024) }),
  z.strictObject({
    type: z.literal('file'),
    upload_id: id.openapi({ description: 'Copied into the gate, so that the upload may go.' }),
    filename: headerText(200).min(1).optional(),
    content_type: z
      .string()
      .regex(/^[\w.+-]{1,80}\/[\w.+-]{1,80}$/, 'must be a media type')
      .default('application/octet-stream'),
  }),
]);
const shownResource = z.discriminatedUnion('type', [
  z.object({ type: z.literal('url'), url: z.string() }),
  z.object({ type: z.literal('json'), document: z.record(z.string(), z.unknown()) }),
  z.object({
    type: z.literal('file'),
    filename: z.string(),
    content_type: z.string(),
    bytes: z.number().int(),
  }),
]);

const settings = {
  name: headerText(200).min(1),
  policy,
  link_seconds: z.number().int().min(300).max(7_776_000).openapi({ description: 'How long a mailed link works.' }),
  max_uses: z.number().int().min(1).max(1_000).openapi({
    description: 'How often a link works. Programs that check links in mails use it as well: leave some room.',
  }),
  opt_in_purpose_id: id.nullable().openapi({ description: 'Marketing purpose whose opt-in a visitor may ask for.' }),
};
export const newGate = z.strictObject({
  slug: z.string().regex(/^[a-z0-9][a-z0-9-]{0,99}$/, 'lower-case letters, digits and "-"'),
  ...settings,
  resource: newResource,
  policy: settings.policy.default({ match: 'all', conditions: [] }),
  link_seconds: settings.link_seconds.default(7 * 24 * 3600),
  max_uses: settings.max_uses.default(5),
  opt_in_purpose_id: settings.opt_in_purpose_id.default(null),
});
export const gateChange = z.strictObject({ ...settings, resource: newResource }).partial();

export const gateDocument = z
  .object({
    id,
    slug: z.string(),
    name: z.string(),
    resource: shownResource,
    policy: z.object({ match: z.enum(['all', 'any']), conditions: z.array(condition) }),
    link_seconds: z.number().int(),
    max_uses: z.number().int(),
    opt_in_purpose_id: id.nullable(),
    version: z.number().int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('Gate');

export const grantDocument = z
  .object({
    id,
    contact_id: id,
    status: z.enum(['GRANTED', 'REFUSED', 'REVOKED']),
    verdicts: z
      .array(z.object({ condition, met: z.boolean() }))
      .openapi({ description: 'When the link was asked for. Conditions are checked again at each use.' }),
    uses: z.number().int(),
    max_uses: z.number().int(),
    expires_at: moment,
    created_at: moment,
    last_used_at: moment.nullable(),
    revoked_at: moment.nullable(),
  })
  .openapi('GateGrant');

function showCondition(stored: GateCondition): z.input<typeof condition> {
  switch (stored.type) {
    case 'consent':
      return { type: 'consent', purpose_id: stored.purposeId };
    case 'audience':
      return { type: 'audience', audience_id: stored.audienceId };
    case 'fields':
      return { type: 'fields', names: stored.names };
  }
}

function showResource(stored: GateResource): z.input<typeof shownResource> {
  if (stored.type !== 'file') return stored;
  return { type: 'file', filename: stored.filename, content_type: stored.contentType, bytes: stored.bytes };
}

export function showGate(gate: Gate): z.input<typeof gateDocument> {
  return {
    id: gate.id,
    slug: gate.slug,
    name: gate.name,
    resource: showResource(gate.resource),
    policy: { match: gate.policy.match, conditions: gate.policy.conditions.map(showCondition) },
    link_seconds: gate.linkSeconds,
    max_uses: gate.maxUses,
    opt_in_purpose_id: gate.optInPurposeId,
    version: gate.version,
    created_at: gate.createdAt.toISOString(),
    updated_at: gate.updatedAt.toISOString(),
  };
}

export function showGrant(row: GrantRow): z.input<typeof grantDocument> {
  return {
    id: row.id,
    contact_id: row.contact_id,
    status: row.status,
    verdicts: row.verdicts.map(({ condition: stored, met }) => ({ condition: showCondition(stored), met })),
    uses: row.uses,
    max_uses: row.max_uses,
    expires_at: row.expires_at.toISOString(),
    created_at: row.created_at.toISOString(),
    last_used_at: row.last_used_at?.toISOString() ?? null,
    revoked_at: row.revoked_at?.toISOString() ?? null,
  };
}
