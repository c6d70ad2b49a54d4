import { z } from 'zod';
import { counted, type Narrator } from './narrator';
import type { Company } from './people';

const MAILBOXES = ['user10', 'user11', 'user12'];
const DOMAIN = 'bücher.example';

/** Whether the demo suppresses this address of the sample contacts. */
export function isSuppressedSample(email: string): boolean {
  return MAILBOXES.some((mailbox) => email.startsWith(`${mailbox}@`));
}

/** Puts three addresses and a whole domain on the company's do-not-mail list. */
export async function suppressSome(narrator: Narrator, company: Company): Promise<void> {
  const { marketer } = company.as;
  const page = z.object({ items: z.array(z.object({ email: z.string() })) });
  const addresses: string[] = [];
  for (const mailbox of MAILBOXES) {
    const { items } = await marketer.get(`${company.path}/contacts?search=${mailbox}%40`, page);
    addresses.push(...items.map(({ email }) => email));
  }
  await marketer.post(`${company.path}/suppressions`, z.unknown(), {
    addresses,
    domains: [DOMAIN],
    note: 'From the do-not-mail list of the old system',
  });
  narrator.say(`Do-not-mail list: ${counted(addresses.length, 'address', 'addresses')} and everything at ${DOMAIN}.`);
}
