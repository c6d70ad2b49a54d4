import type { DomainRow } from '../../db/senders';
import { dnsRecords } from '../../domain/senders';
import { emailAddress, id, moment, z } from '../http/schemas';
import { dailyLimit, displayName, LABEL, lowered, measuredFields, showMeasured, timesOf } from './object-fields';

export const domainParams = z.strictObject({ domain_id: id });

const authorised = z.object({ provider_id: id, dkim: z.boolean(), spf: z.boolean() });

const domainFields = {
  dns_records: dnsRecords.partial().openapi({
    description:
      'What is to be published in the DNS, as the providers ask for it. A note for those who do it: nothing looks it up. ' +
      'A list that is given takes the place of its former one.',
  }),
  daily_limit: dailyLimit,
  default_from_name: displayName,
  default_reply_to: emailAddress.nullable(),
  is_default: z.boolean().openapi({
    description:
      'Its oldest active identity is the From of campaigns that name none, in workspaces without a default identity.',
  }),
  providers: z
    .array(z.strictObject(authorised.shape))
    .max(20)
    .refine((list) => new Set(list.map((entry) => entry.provider_id)).size === list.length, 'lists a provider twice')
    .openapi({
      description:
        'Providers that may send for the domain: `spf`, its SPF record names them; `dkim`, they sign with a key of it. ' +
        'With any listed, mail from the domain takes no provider that lacks either.',
    }),
};

export const newDomain = z.strictObject({
  ...z.object(domainFields).partial().shape,
  domain: lowered(new RegExp(`^${LABEL}(\\.${LABEL})+$`), 'must be a domain, internationalised ones as punycode'),
  subdomain: lowered(new RegExp(`^${LABEL}(\\.${LABEL})*$`), 'must be labels of a host name')
    .nullable()
    .optional(),
});

export const domainChange = z
  .strictObject({
    ...domainFields,
    status: z.enum(['PAUSED', 'PENDING']).openapi({
      description: 'PAUSED: no mail from the domain goes. PENDING: it goes again; nobody has looked at its DNS.',
    }),
  })
  .partial();

export const domainDocument = z
  .object({
    id,
    domain: z.string(),
    subdomain: z.string().nullable(),
    host: z.string().openapi({ description: 'The right part of From addresses.' }),
    status: z.enum(['PENDING', 'VERIFYING', 'VERIFIED', 'FAILED', 'PAUSED', 'WARMING', 'ACTIVE']),
    dns_records: dnsRecords,
    default_from_name: z.string(),
    default_reply_to: z.string().nullable(),
    is_default: z.boolean(),
    ...measuredFields,
    providers: z.array(authorised),
    version: z.int(),
    created_at: moment,
    updated_at: moment,
  })
  .openapi('SendingDomain');

export function showDomain(row: DomainRow): z.input<typeof domainDocument> {
  const { id, domain, host, status, dns_records, default_from_name, default_reply_to, is_default } = row;
  return {
    ...{ id, domain, subdomain: row.subdomain === '' ? null : row.subdomain, host, status, dns_records },
    ...{ default_from_name, default_reply_to, is_default },
    ...showMeasured(row),
    ...{ providers: row.providers, version: row.version },
    ...timesOf(row),
  };
}
