import type { DomainRow, IdentityRow, IpRow, PoolRow } from '../../db/senders';
import { MAILBOX_PROVIDER_GROUPS } from '../../domain/contacts';
import { headerTextProblem } from '../../domain/content';
import { ipCredentials, ROUTING_STRATEGIES } from '../../domain/senders';
import { emailAddress, headerText, id, moment, plainText, z } from '../http/schemas';

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';

const displayName = headerText(200).superRefine((value, context) => {
  const problem = headerTextProblem(value);
  if (problem) context.addIssue({ code: 'custom', message: problem });
});
const dailyLimit = z.int().min(1).max(2_147_483_647).nullable().openapi({
  description: 'Most messages per local day of the workspace; null = unlimited.',
});
const lowered = (pattern: RegExp, message: string) =>
  z
    .string()
    .max(253)
    .transform((value) => value.toLowerCase())
    .refine((value) => pattern.test(value), message)
    .openapi({ type: 'string' });

const authorised = z.object({ provider_id: id, dkim: z.boolean(), spf: z.boolean() });

export const newDomain = z.strictObject({
  domain: lowered(new RegExp(`^${LABEL}(\\.${LABEL})+$`), 'must be a domain, internationalised ones as punycode'),
  subdomain: lowered(new RegExp(`^${LABEL}(\\.${LABEL})*$`), 'must be labels of a host name')
    .nullable()
    .optional(),
  daily_limit: dailyLimit.optional(),
  default_from_name: displayName.optional(),
  default_reply_to: emailAddress.nullable().optional(),
  providers: z
    .array(z.strictObject(authorised.shape))
    .max(20)
    .refine((list) => new Set(list.map((entry) => entry.provider_id)).size === list.length, 'lists a provider twice')
    .optional()
    .openapi({
      description:
        'Providers that may send for the domain: `spf`, its SPF record names them; `dkim`, they sign with a key of it. ' +
        'With any listed, mail from the domain takes no provider that lacks either.',
    }),
});

export const domainDocument = z
  .object({
    id,
    domain: z.string(),
    subdomain: z.string().nullable(),
    host: z.string().openapi({ description: 'The right part of From addresses.' }),
    status: z.enum(['PENDING', 'VERIFYING', 'VERIFIED', 'FAILED', 'PAUSED', 'WARMING', 'ACTIVE']),
    daily_limit: z.int().nullable(),
    default_from_name: z.string(),
    default_reply_to: z.string().nullable(),
    health_score: z.number().nullable().openapi({ description: '0 to 100; null until it is measured.' }),
    providers: z.array(authorised),
    version: z.int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('SendingDomain');

export function showDomain(row: DomainRow): z.input<typeof domainDocument> {
  return {
    id: row.id,
    domain: row.domain,
    subdomain: row.subdomain === '' ? null : row.subdomain,
    host: row.host,
    status: row.status,
    daily_limit: row.daily_limit,
    default_from_name: row.default_from_name,
    default_reply_to: row.default_reply_to,
    health_score: row.health_score,
    providers: row.providers,
    version: row.version,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

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
    daily_limit: z.int().nullable(),
    health_score: z.number().nullable().openapi({ description: '0 to 100; null until it is measured.' }),
    version: z.int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('DedicatedIP');

export function showIp(row: IpRow): z.input<typeof ipDocument> {
  const { created_at, updated_at, ...rest } = row;
  return { ...rest, created_at: created_at.toISOString(), updated_at: updated_at.toISOString() };
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
