import { z } from 'zod';

const DNS_RECORD_TYPES = ['TXT', 'CNAME', 'MX'] as const;

/** A name of the DNS: labels may begin with an underscore (selector._domainkey, _dmarc). */
const LABEL = '[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const DNS_NAME = new RegExp(`^${LABEL}(\\.${LABEL})*\\.?$`);

const dnsRecord = z.strictObject({
  type: z.enum(DNS_RECORD_TYPES),
  name: z.string().max(254).regex(DNS_NAME, 'must be a name of the DNS, like s1._domainkey.example.com'),
  value: z
    .string()
    .min(1)
    .max(4_000)
    .regex(/^[\x20-\x7e]+$/, 'must be printable ASCII'),
});

const list = z.array(dnsRecord).max(20);

/** What is to be published for a domain, as its operators noted it; spec 003, `dns_records`. */
export const dnsRecords = z.strictObject({ spf: list, dkim: list, dmarc: list, return_path: list });
export type DnsRecords = z.infer<typeof dnsRecords>;

export const NO_DNS_RECORDS: DnsRecords = { spf: [], dkim: [], dmarc: [], return_path: [] };
