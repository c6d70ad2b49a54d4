import type { SuppressionTarget } from '../../db/consent/suppressions';
import { normaliseDomain, normaliseEmail } from '../../domain/contacts';
import type { AddressHasher } from '../../platform/crypto';
import { Problem, type ProblemPlace } from '../http/problem';
import { plainText, z } from '../http/schemas';

const MAX_PER_CALL = 1_000;

export const newSuppressions = z.strictObject({
  addresses: z.array(z.string().max(2_000)).max(MAX_PER_CALL).default([]),
  domains: z.array(z.string().max(300)).max(MAX_PER_CALL).default([]),
  note: plainText(500).default(''),
});

/** "a…@example.com": enough to recognise an address one knows. */
function addressHint(email: string): string {
  const at = email.lastIndexOf('@');
  return `${[...email][0] ?? ''}…${email.slice(at)}`;
}

/** A normalised address as what is suppressed: only its hash is kept. */
export function addressTarget(email: string, hasher: AddressHasher): SuppressionTarget {
  return { addressHash: hasher.hash(email), domain: null, hint: addressHint(email) };
}

/** A normalised domain as what is suppressed. */
export function domainTarget(domain: string): SuppressionTarget {
  return { addressHash: null, domain, hint: domain };
}

/** What a request names, each once; 422 says what is no address and no domain. */
export function readTargets(body: z.infer<typeof newSuppressions>, hasher: AddressHasher): SuppressionTarget[] {
  const errors: ProblemPlace[] = [];
  const targets = new Map<string, SuppressionTarget>();
  body.addresses.forEach((written, index) => {
    const email = normaliseEmail(written);
    if (email.ok) targets.set(email.email, addressTarget(email.email, hasher));
    else errors.push({ pointer: `/body/addresses/${index}`, detail: email.message });
  });
  body.domains.forEach((written, index) => {
    const domain = normaliseDomain(written.trim().replace(/^@/, ''));
    if (domain !== null) targets.set(`@${domain}`, domainTarget(domain));
    else errors.push({ pointer: `/body/domains/${index}`, detail: 'is no Internet domain' });
  });
  if (targets.size === 0 && errors.length === 0)
    errors.push({ pointer: '/body/addresses', detail: 'name an address or a domain' });
  if (targets.size > MAX_PER_CALL) errors.push({ pointer: '/body', detail: `at most ${MAX_PER_CALL} at a time` });
  const [first] = errors;
  if (first) throw new Problem('validation-failed', first.detail, { errors: errors.slice(0, 20) });
  return [...targets.values()];
}
