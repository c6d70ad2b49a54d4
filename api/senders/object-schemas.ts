import type { IdentityRow, IpRow, PoolRow } from '../../db/senders';
import { MAILBOX_PROVIDER_GROUPS } from '../../domain/contacts';
import { ipCredentials, ROUTING_STRATEGIES } from '../../domain/senders';
import { emailAddress, id, moment, plainText, z } from '../http/schemas';
import { dailyLimit, displayName, LABEL, lowered, measuredFields, showMeasured, timesOf } from './object-fields';

const identityFields = {
  display_name: displayName,
  reply_to: emailAddress.nullable(),
  is_default: z.boolean(),
  is_active: z.boolean(),
};

export const newIdentity = z.strictObject({ email: emailAddress, ...z.object(identityFields).partial().shape });
export const identityChange = z.strictObject(identityFields).partial();

export const identityDocument = z
  .object({
    id,
    domain_id: id,
    email: z.string(),
    display_name: z.string(),
    reply_to: z.string().nullable(),
    is_default: z.boolean(),
    is_active: z.boolean(),
    version: z.int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('SendingIdentity');

export function showIdentity(row: IdentityRow): z.input<typeof identityDocument> {
  return {
    id: row.id,
    domain_id: row.domain_id,
    email: row.email,
    display_name: row.display_name,
    reply_to: row.reply_to,
    is_default: row.is_default,
    is_active: row.is_active,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

const egress = z.record(z.string().max(50), z.union([z.string().max(253), z.number()])).openapi({
  description:
    'What makes the provider use this IP, in the place of its own settings: SMTP `host` or `port` (or `credentials` ' +
    'beside it); SES ' +
    '`configuration_set`; SendGrid and Mailgun `ip_pool`; Postmark `message_stream`.',
  example: { port: 2526 },
});
const ipStatus = z.enum(['PAUSED', 'WARMING', 'ACTIVE']);

const ipLogin = ipCredentials.nullable().openapi({
  description:
    'A log-in of this IP, in the place of its provider’s: many relays choose the IP by user. SMTP only; sealed, and ' +
    'never shown again. null = the provider’s own.',
});

const ipFields = {
  hostname: lowered(new RegExp(`^${LABEL}(\\.${LABEL})*$`), 'must be a host name').nullable(),
  egress,
  credentials: ipLogin,
  status: ipStatus,
  daily_limit: dailyLimit,
};

export const newIp = z.strictObject({
  ...z.object(ipFields).partial().shape,
  provider_id: id,
  ip_address: z.union([z.ipv4(), z.ipv6()], { error: 'must be an IPv4 or IPv6 address' }),
});
export const ipChange = z.strictObject(ipFields).partial();

export const ipDocument = z
  .object({
    id,
    provider_id: id,
    ip_address: z.string(),
    hostname: z.string().nullable().openapi({ description: 'Its PTR record.' }),
    egress,
    has_credentials: z.boolean().openapi({ description: 'Whether it logs in as a user of its own.' }),
    status: ipStatus,
    ...measuredFields,
    blacklist_status: z
      .array(z.object({ list: z.string(), listed: z.boolean(), checked_at: moment }))
      .openapi({ description: 'What block lists said of it; empty while none has been asked.' }),
    version: z.int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('DedicatedIP');

export function showIp(row: IpRow): z.input<typeof ipDocument> {
  const { id, provider_id, ip_address, hostname, egress, has_credentials, status, blacklist_status, version } = row;
  return {
    ...{ id, provider_id, ip_address, hostname, egress, has_credentials, status },
    ...showMeasured(row),
    ...{ blacklist_status, version },
    ...timesOf(row),
  };
}

const memberFields = {
  provider_id: id,
  identity_id: id.nullable(),
  dedicated_ip_id: id.nullable(),
  weight: z.int().min(1).max(1_000),
  priority: z.int().min(1).max(100),
  mx_groups: z.array(z.enum(MAILBOX_PROVIDER_GROUPS)).max(MAILBOX_PROVIDER_GROUPS.length),
};

export const newMember = z.strictObject({
  provider_id: id,
  identity_id: memberFields.identity_id.default(null).openapi({
    description: 'A sending identity whose address these messages are from; null = the message’s own From.',
  }),
  dedicated_ip_id: memberFields.dedicated_ip_id.default(null),
  weight: memberFields.weight.default(1).openapi({ description: 'Share of the messages with strategy weighted.' }),
  priority: memberFields.priority.default(5).openapi({ description: 'Order with strategy priority; 1 first.' }),
  mx_groups: memberFields.mx_groups.default([]).openapi({
    description: 'Mailbox-provider groups this member is meant for, and comes first for; empty = all alike.',
  }),
});

const poolFields = {
  name: plainText(200).trim().min(1),
  description: plainText(5_000),
  strategy: z.enum(ROUTING_STRATEGIES),
  is_default: z.boolean(),
  members: z
    .array(newMember)
    .min(1, 'a pool needs at least one member')
    .max(50)
    .superRefine((members, context) => {
      const seen = new Set<string>();
      for (const [index, member] of members.entries()) {
        const key = `${member.provider_id} ${member.identity_id} ${member.dedicated_ip_id}`;
        if (seen.has(key)) context.addIssue({ code: 'custom', path: [index], message: 'is listed twice' });
        seen.add(key);
      }
    }),
};

export const newPool = z.strictObject({
  ...z.object(poolFields).partial().shape,
  name: poolFields.name,
  members: poolFields.members,
});
export const poolChange = z.strictObject(poolFields).partial();

export const poolDocument = z
  .object({
    id,
    name: z.string(),
    description: z.string(),
    strategy: z.enum(ROUTING_STRATEGIES),
    is_default: z.boolean().openapi({ description: 'Used by campaigns that name no pool, and by all other mail.' }),
    members: z.array(z.object({ id, ...memberFields })),
    version: z.int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('SendingPool');

export function showPool(row: PoolRow) {
  const { created_at, updated_at, members, ...rest } = row;
  const groups = new Set<string>(MAILBOX_PROVIDER_GROUPS);
  const known = members.map((member) => ({
    ...member,
    mx_groups: member.mx_groups.filter((group): group is (typeof MAILBOX_PROVIDER_GROUPS)[number] => groups.has(group)),
  }));
  return { ...rest, members: known, created_at: created_at.toISOString(), updated_at: updated_at.toISOString() };
}
