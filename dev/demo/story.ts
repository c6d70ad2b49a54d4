import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Stack } from '../stack';
import { Api } from './api';
import { importContacts } from './contacts';
import { prepareCampaign } from './content';
import { explainTwo } from './explain';
import { Inbox } from './inbox';
import { readLedger } from './ledger';
import { type Narrator, thousands } from './narrator';
import { COMPANY, openCompany } from './people';
import { useInbox } from './provider';
import { react, sendTransactional } from './recipients';
import { sendCampaign } from './sending';
import { signUpVisitors } from './sign-ups';
import { suppressSome } from './suppressions';

/** What `--once` prints as its last line. */
export interface DemoResult {
  ok: boolean;
  imported: number;
  rejected: number;
  confirmed: number;
  materialised: number;
  sent: number;
  failed: Record<string, number>;
  unconfirmed: number;
  balanced: boolean;
}

/** A result before anything was done. */
export function emptyResult(): DemoResult {
  return {
    ok: false,
    imported: 0,
    rejected: 0,
    confirmed: 0,
    materialised: 0,
    sent: 0,
    failed: {},
    unconfirmed: 0,
    balanced: false,
  };
}

const VISITORS = 3;
/** Fast enough to be over soon, slow enough that a pause can be seen. */
const LARGEST_RATE = 500;
const SECONDS_TO_SEND = 10;

const earlierCampaign = z.object({ id: z.string(), status: z.string(), total_recipients: z.number() });

/** Of a demo that was stopped on the way: the counts of this one would hold its mail too. */
function isUnfinished({ status }: z.output<typeof earlierCampaign>): boolean {
  return status === 'SCHEDULED' || status === 'SENDING' || status === 'PAUSED';
}

/**
 * The main job from beginning to end, as a user does it: through the public HTTP API, the inbox, and the pages behind
 * the links in mail. Can be told again and again on the same data; each time it makes a new campaign.
 * @param result filled in on the way, so that a story that breaks off says how far it came
 */
export async function tellStory(
  narrator: Narrator,
  stack: Stack,
  options: { contacts: number; directory: string },
  result: DemoResult,
): Promise<void> {
  const { smtpUrl, inboxUrl } = stack;
  if (smtpUrl === null || inboxUrl === null) throw new Error('The demo may only mail its own inbox.');
  const folder = join(options.directory, 'demo');
  mkdirSync(folder, { recursive: true });
  const api = new Api(stack.apiUrl);
  const inbox = new Inbox(inboxUrl);

  narrator.chapter('A workspace and its people');
  const company = await openCompany({
    api,
    workerDatabaseUrl: stack.databaseUrls.worker,
    secret: stack.secrets.suppressionKey,
  });
  stack.describe({ workspaceId: company.workspaceId, apiKey: company.apiKey });
  const path = `${company.path}/email-marketing/campaigns`;
  const earlier = await company.as.marketer.all(`${path}?tag=demo`, earlierCampaign);
  for (const { id } of earlier.filter(isUnfinished))
    await company.as.marketer.post(`${path}/${id}/cancel`, z.unknown());
  const round = earlier.length + 1;
  const audience = Math.max(options.contacts, ...earlier.map((campaign) => campaign.total_recipients));
  const rate = Math.min(LARGEST_RATE, Math.ceil(audience / SECONDS_TO_SEND));
  await useInbox(company, smtpUrl, rate);
  narrator.say(
    `“${COMPANY.name}” ${company.isNew ? 'founded by' : 'of'} Olga Owner, with Max Marketer and Ada Approver.`,
  );
  narrator.say(`Its mail goes to the inbox on this machine and nowhere else, at ${rate} a second.`);

  narrator.chapter(`Import ${thousands(options.contacts)} contacts from a CSV file`);
  const file = join(folder, 'contacts.csv');
  const imported = await importContacts(narrator, company, { rows: options.contacts, file });
  Object.assign(result, { imported: imported.imported, rejected: imported.rejected });
  await suppressSome(narrator, company);

  narrator.chapter('Three visitors sign up: double opt-in');
  const readers = await signUpVisitors(narrator, company, inbox, { api, round });
  const confirmed = readers.filter((reader) => reader.confirmed).length;
  Object.assign(result, { confirmed });

  narrator.chapter('A campaign from a real HTML e-mail, approved by somebody else');
  const { campaignId, fourEyes } = await prepareCampaign(narrator, company, round);

  narrator.chapter('Schedule, send, pause, resume');
  const before = await inbox.newestId();
  const sent = await sendCampaign(narrator, company, inbox, { campaignId });

  narrator.chapter('Recipients react');
  const reactions = await react(narrator, company, inbox, { api, campaignId, before, readers });

  narrator.chapter('A transactional message');
  const [somebody] = readers;
  if (!somebody) throw new Error('Nobody has signed up.');
  const once = await sendTransactional(narrator, company, inbox, { api, to: somebody });

  narrator.chapter('The ledger: what became of every message');
  const ledger = await readLedger(narrator, company, inbox, { campaignId, before });
  const { materialised, sent: sentCount, failed, unconfirmed, balanced } = ledger;
  Object.assign(result, { materialised, sent: sentCount, failed, unconfirmed, balanced });

  narrator.chapter('Why?');
  const unsubscribed = readers[2] ?? somebody;
  const explained = await explainTwo(narrator, company, { campaignId, withdrawn: sent.withdrawn, unsubscribed });

  const notSent = total(ledger.failed);
  const checks: [string, boolean][] = [
    ['every row of the file is imported or rejected', imported.imported + imported.rejected === options.contacts],
    ['every rejection has a reason', total(imported.reasons) === imported.rejected && imported.rejected > 0],
    ['three sign-ups are confirmed, by the button and not by the link', confirmed === VISITORS],
    ['nobody approves what they submitted', fourEyes],
    ['the pause stood still', sent.stoodStill],
    ['a consent withdrawn in the pause counts', ledger.reasonOf(sent.withdrawn.contactId) === 'CONSENT_DENIED'],
    ['the click, the open and the unsubscribing count', Object.values(reactions).every(Boolean)],
    ['the explanations agree with what was decided', explained],
    ['the transactional message went once', once],
    ['the ledger is balanced', ledger.balanced],
    ['every message was sent or has its reason', ledger.sent + notSent === ledger.materialised && ledger.sent > 0],
    ['no outcome is unknown', ledger.unconfirmed === 0],
    ['the inbox has what the ledger says', ledger.matchesInbox],
  ];
  const broken = checks.filter(([, holds]) => !holds).map(([name]) => name);
  for (const name of broken) narrator.say(`✗ Not so: ${name}`);
  if (broken.length === 0) narrator.say(`All ${checks.length} checks of this demo hold.`);

  narrator.chapter('Look around');
  narrator.table([
    ['Mail inbox', inboxUrl],
    ['Temporal UI', sent.workflowUrl],
    ['API documents', `${stack.apiUrl}/docs`],
    ['Ledger', `curl -H "Authorization: Bearer ${company.apiKey}" ${stack.apiUrl}${path}/${campaignId}/ledger`],
    ['Everything else', join(options.directory, 'stack.json')],
  ]);
  result.ok = broken.length === 0;
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
