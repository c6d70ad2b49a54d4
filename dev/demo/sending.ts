import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Inbox } from './inbox';
import { type Narrator, type ProgressBar, thousands } from './narrator';
import type { Company } from './people';
import { isSuppressedSample } from './suppressions';
import { waitFor } from './wait';

const campaign = z.object({
  status: z.enum(['DRAFT', 'SCHEDULED', 'SENDING', 'PAUSED', 'CANCELLED', 'SENT']),
  total_recipients: z.number(),
  sent_count: z.number(),
  failed_count: z.number(),
});
type Campaign = z.output<typeof campaign>;
const started = campaign.extend({ workflow: z.object({ ui_url: z.string() }) });
const onTheWire = z.object({ by_status: z.object({ SENDING: z.number() }) });
const recipient = z.object({ contact_id: z.string(), email: z.string() });

const DUE_IN_MS = 3_000;
const START_LIMIT_MS = 60_000;
const SEND_LIMIT_MS = 300_000;
/** What was begun up to a second after the answer may still go out; afterwards nothing may. */
const PROMISE_MS = 1_000;
const STANDSTILL_MS = 3_000;

export interface Sent {
  /** The campaign's workflow in the Temporal UI. */
  workflowUrl: string;
  /** True when the campaign's count and the inbox stood still while it was paused. */
  stoodStill: boolean;
  /** Who withdrew the consent during the pause. */
  withdrawn: { contactId: string; email: string };
}

/** Schedules the campaign, pauses it on the way, resumes it, and waits for the end. */
export async function sendCampaign(
  narrator: Narrator,
  company: Company,
  inbox: Inbox,
  options: { campaignId: string },
): Promise<Sent> {
  const { marketer } = company.as;
  const path = `${company.path}/email-marketing/campaigns/${options.campaignId}`;
  const scheduled_at = new Date(Date.now() + DUE_IN_MS).toISOString();
  const { status, workflow } = await marketer.post(`${path}/schedule`, started, { scheduled_at });
  narrator.say(`${status}, due in ${DUE_IN_MS / 1_000} seconds; its workflow waits: ${workflow.ui_url}`);
  const begun = await follow(company, path, 'the start', START_LIMIT_MS, (seen) => seen.sent_count > 0);
  const total = begun.total_recipients;
  const bar = narrator.bar('Sending', total);
  const quarter = total / 4;
  await follow(company, path, 'the first quarter', SEND_LIMIT_MS, (seen) => seen.sent_count >= quarter, bar);
  const atAnswer = await marketer.post(`${path}/pause`, started);
  bar.end('paused');
  const { stoodStill, count } = await watchPause(narrator, company, inbox, { path, atAnswer: atAnswer.sent_count });
  const withdrawn = await withdrawConsent(narrator, company, path);
  await marketer.post(`${path}/resume`, started);
  narrator.say('Resumed.');
  const rest = narrator.bar('Sending', total);
  rest.set(count);
  await follow(company, path, 'the end of the campaign', SEND_LIMIT_MS, ({ status: now }) => now === 'SENT', rest);
  rest.end('finished');
  return { workflowUrl: workflow.ui_url, stoodStill, withdrawn };
}

async function follow(
  company: Company,
  path: string,
  what: string,
  limitMs: number,
  until: (seen: Campaign) => boolean,
  bar?: ProgressBar,
): Promise<Campaign> {
  return waitFor(what, limitMs, async () => {
    const seen = await company.as.marketer.get(path, campaign);
    bar?.set(seen.sent_count + seen.failed_count, seen.status.toLowerCase());
    return until(seen) ? seen : undefined;
  });
}

/** Looks twice at the campaign's count and at what the inbox has received; both must be what they were. */
async function watchPause(
  narrator: Narrator,
  company: Company,
  inbox: Inbox,
  options: { path: string; atAnswer: number },
): Promise<{ stoodStill: boolean; count: number }> {
  const look = async () => {
    const { sent_count } = await company.as.marketer.get(options.path, campaign);
    return { sent: sent_count, received: await inbox.newestId() };
  };
  await sleep(PROMISE_MS);
  // What was begun by then may still wait for its answer; nothing else can change the count.
  await waitFor('what was on the wire', SEND_LIMIT_MS, async () => {
    const { by_status } = await company.as.marketer.get(`${options.path}/ledger`, onTheWire);
    return by_status.SENDING === 0 ? true : undefined;
  });
  const first = await look();
  await sleep(STANDSTILL_MS);
  const second = await look();
  const stoodStill = first.sent === second.sent && first.received === second.received;
  narrator.say(
    `Sent when “pause” was answered: ${thousands(options.atAnswer)}; a second later: ${thousands(first.sent)}; ` +
      `${STANDSTILL_MS / 1_000} seconds after that: ${thousands(second.sent)}.`,
  );
  narrator.say(stoodStill ? 'It stands still, in the inbox too.' : '✗ It should stand still, and does not.');
  return { stoodStill, count: second.sent };
}

/** Somebody whose message still waits says no: the message must not go. */
async function withdrawConsent(narrator: Narrator, company: Company, path: string) {
  const { marketer } = company.as;
  const purposes = await marketer.all(`${company.path}/purposes`, z.object({ id: z.string(), key: z.string() }));
  const newsletter = purposes.find(({ key }) => key === 'newsletter');
  const page = z.object({ items: z.array(recipient) });
  const { items } = await marketer.get(`${path}/recipients?status=PENDING&limit=200`, page);
  // Somebody whom nothing else stops, so that the reason is this one.
  const chosen = items.find(({ email }) => /@(?:gmail|outlook)\.com$/.test(email) && !isSuppressedSample(email));
  if (!newsletter || !chosen) throw new Error('Nobody is left who could withdraw a consent.');
  await marketer.request(
    'PUT',
    `${company.path}/contacts/${chosen.contact_id}/consents/${newsletter.id}`,
    z.unknown(),
    {
      body: { status: 'denied', source: 'manual' },
    },
  );
  narrator.say(`Meanwhile ${chosen.email} calls and withdraws the consent.`);
  return { contactId: chosen.contact_id, email: chosen.email };
}
