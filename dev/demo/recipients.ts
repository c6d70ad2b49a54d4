import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Api } from './api';
import { createTemplate } from './content';
import { headerOf, type Inbox, type Mail } from './inbox';
import type { Narrator } from './narrator';
import type { Company } from './people';
import type { SignedUp } from './sign-ups';
import { waitFor } from './wait';

/** A person's mail program, as far as a server can tell: requests of programs are not counted as a person's. */
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';
const RECORDED_LIMIT_MS = 60_000;

const campaign = z.object({
  unique_open_count: z.number(),
  unique_click_count: z.number(),
  unsubscribe_count: z.number(),
});
const contact = z.object({ status: z.string() });

export interface Reactions {
  clicked: boolean;
  opened: boolean;
  unsubscribed: boolean;
}

/** Three readers: one clicks a link, one loads the pixel, one unsubscribes by the button of the mail program. */
export async function react(
  narrator: Narrator,
  company: Company,
  inbox: Inbox,
  options: { api: Api; campaignId: string; before: number; readers: readonly SignedUp[] },
): Promise<Reactions> {
  const { api, before, readers } = options;
  const [first, second, third] = readers;
  if (!first || !second || !third) throw new Error('Three readers are needed.');
  const mailOf = (reader: SignedUp): Promise<Mail> => inbox.waitForMail(reader.email, before);

  const link = /\/t\/c\/[\w.~-]+/.exec((await mailOf(first)).html ?? '')?.[0];
  if (!link) throw new Error('The mail has no tracked link.');
  const redirect = await ask(api, 'GET', link);
  narrator.say(`${first.email} clicks: ${redirect.status} to ${redirect.headers.get('location') ?? 'nowhere'}`);

  const pixel = /\/t\/p\/[\w.~-]+\.gif/.exec((await mailOf(second)).html ?? '')?.[0];
  if (!pixel) throw new Error('The mail has no pixel.');
  const image = await ask(api, 'GET', pixel);
  narrator.say(`${second.email} opens: ${image.status} ${image.headers.get('content-type') ?? ''}`);

  const unsubscribe = await oneClick(api, await mailOf(third));
  const { status } = await company.as.marketer.get(`${company.path}/contacts/${third.contactId}`, contact);
  narrator.say(`${third.email} unsubscribes with one click (RFC 8058): ${unsubscribe.status}, now ${status}`);

  const path = `${company.path}/email-marketing/campaigns/${options.campaignId}`;
  const recorded = await waitFor('the open, the click and the unsubscribing', RECORDED_LIMIT_MS, async () => {
    const seen = await company.as.marketer.get(path, campaign);
    const { unique_click_count, unique_open_count, unsubscribe_count } = seen;
    return unique_click_count > 0 && unique_open_count > 0 && unsubscribe_count > 0 ? seen : undefined;
  });
  const { unique_open_count, unique_click_count, unsubscribe_count } = recorded;
  narrator.say(
    `The campaign counts ${unique_open_count} opened, ${unique_click_count} clicked, ${unsubscribe_count} unsubscribed.`,
  );
  return {
    clicked: redirect.status === 302 && unique_click_count > 0,
    opened: image.status === 200 && unique_open_count > 0,
    unsubscribed: unsubscribe.status === 200 && status === 'UNSUBSCRIBED' && unsubscribe_count === 1,
  };
}

/** What a mail program sends when its unsubscribe button is pressed (RFC 8058, section 3.2). */
async function oneClick(api: Api, mail: Mail): Promise<Response> {
  const path = /\/u\/[\w.~-]+/.exec(headerOf(mail, 'List-Unsubscribe'))?.[0];
  if (!path || headerOf(mail, 'List-Unsubscribe-Post') !== 'List-Unsubscribe=One-Click') {
    throw new Error('The mail offers no one-click unsubscribing.');
  }
  return ask(api, 'POST', path, 'List-Unsubscribe=One-Click');
}

/** As a browser, and without following the redirect: the demo leaves this machine for nothing. */
function ask(api: Api, method: string, path: string, form?: string): Promise<Response> {
  return fetch(api.url + path, {
    method,
    redirect: 'manual',
    signal: AbortSignal.timeout(RECORDED_LIMIT_MS),
    headers: {
      'user-agent': BROWSER,
      ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    ...(form === undefined ? {} : { body: form }),
  });
}

const accepted = z.object({ delivery_id: z.string() });

/**
 * One transactional message, asked for twice with the same Idempotency-Key.
 * @returns true when one message went out
 */
export async function sendTransactional(
  narrator: Narrator,
  company: Company,
  inbox: Inbox,
  options: { api: Api; to: SignedUp },
): Promise<boolean> {
  const template = await createTemplate(company, 'password-reset');
  const before = await inbox.newestId();
  const request = {
    body: { template: template.slug, contact_id: options.to.contactId, context: { operating_system: 'Linux' } },
    idempotencyKey: randomUUID(),
  };
  const caller = options.api.as(company.apiKey);
  const path = `${company.path}/email-marketing/messages/send`;
  const first = await caller.request('POST', path, accepted, request);
  const second = await caller.request('POST', path, accepted, request);
  const mail = await inbox.waitForMail(options.to.email, before);
  narrator.say(`Asked for twice with one Idempotency-Key: one row of the ledger, one mail “${mail.subject}”.`);
  const mails = await inbox.all(before, mail.subject);
  return first.delivery_id === second.delivery_id && mails.length === 1;
}
