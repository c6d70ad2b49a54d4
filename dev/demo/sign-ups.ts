import { z } from 'zod';
import type { Api } from './api';
import type { Inbox } from './inbox';
import type { Narrator } from './narrator';
import type { Company } from './people';

const VISITORS = [
  { first_name: 'Zoë', last_name: 'Núñez', mailbox: 'zoe', locale: 'es', time_zone: 'Europe/Madrid' },
  { first_name: 'Søren', last_name: 'Holm', mailbox: 'soeren', locale: 'da', time_zone: 'Europe/Copenhagen' },
  { first_name: '李', last_name: '', mailbox: 'li', locale: 'zh', time_zone: 'Asia/Shanghai' },
] as const;

const contact = z.object({ id: z.string(), email: z.string() });
const consents = z.object({ items: z.array(z.object({ purpose: z.string(), status: z.string() })) });

export interface SignedUp {
  email: string;
  contactId: string;
  /** True when the consent was pending before the button was pressed and granted afterwards. */
  confirmed: boolean;
}

/**
 * Three visitors sign up, read their mail, look at the page behind the link (which changes nothing, since scanners
 * open links too) and press its button.
 */
export async function signUpVisitors(
  narrator: Narrator,
  company: Company,
  inbox: Inbox,
  options: { api: Api; round: number },
): Promise<SignedUp[]> {
  const { api, round } = options;
  const signedUp: SignedUp[] = [];
  for (const { mailbox, ...profile } of VISITORS) {
    const email = `${mailbox}${round === 1 ? '' : `+${round}`}@visitors.example`;
    const before = await inbox.newestId();
    const form = { email, first_name: profile.first_name, locale: profile.locale, time_zone: profile.time_zone };
    await api.post(`/public/${company.slug}/sign-up`, z.unknown(), form);
    const mail = await inbox.waitForMail(email, before);
    const path = /\/confirm\/[\w.~-]+/.exec(mail.text ?? '')?.[0];
    if (!path) throw new Error('The confirmation mail has no link.');
    const page = await api.text('GET', path);
    if (!page.includes('<form method="post"')) throw new Error('The confirmation page has no button.');
    const contactId = await findContact(company, email);
    const looked = await consentOf(company, contactId);
    await api.text('POST', path);
    const pressed = await consentOf(company, contactId);
    narrator.say(`${profile.first_name}: “${mail.subject}” → page opened: ${looked} → button pressed: ${pressed}`);
    signedUp.push({ email, contactId, confirmed: looked === 'pending' && pressed === 'granted' });
  }
  return signedUp;
}

async function findContact(company: Company, email: string): Promise<string> {
  const search = `${company.path}/contacts?search=${encodeURIComponent(email)}`;
  const { items } = await company.as.marketer.get(search, z.object({ items: z.array(contact) }));
  const found = items.find((item) => item.email === email);
  if (!found) throw new Error('The sign-up made no contact.');
  return found.id;
}

async function consentOf(company: Company, contactId: string): Promise<string> {
  const { items } = await company.as.marketer.get(`${company.path}/contacts/${contactId}/consents`, consents);
  return items.find(({ purpose }) => purpose === 'newsletter')?.status ?? 'none';
}
