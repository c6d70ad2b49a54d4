import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { CAMPAIGN_SUBJECT } from './content';
import type { Inbox } from './inbox';
import { counted, type Narrator, thousands } from './narrator';
import type { Company } from './people';

const side = z.object({ of: z.string(), count: z.number() });
const equation = z.object({ name: z.string(), left: side, right: side, holds: z.boolean() });
type Equation = z.output<typeof equation>;
const ledgerDocument = z.object({
  audience_size: z.number().nullable(),
  rows: z.number(),
  by_status: z.record(z.string(), z.number()),
  reasons: z.array(z.object({ status: z.string(), reason: z.string(), count: z.number() })),
  balanced: z.boolean(),
  equations: z.array(equation),
});
const recipient = z.object({
  contact_id: z.string().nullable(),
  email: z.string().nullable(),
  delivery_status: z.string(),
  reason: z.string().nullable(),
});

export interface Ledger {
  materialised: number;
  sent: number;
  /** Messages that were not sent, by reason. */
  failed: Record<string, number>;
  unconfirmed: number;
  balanced: boolean;
  /** True when the mail in the inbox is one each for exactly those whom the ledger calls SENT. */
  matchesInbox: boolean;
  /** Why a contact's message was not sent; undefined when it was, or there is none. */
  reasonOf(contactId: string): string | undefined;
}

/** Prints what became of every message, and holds it against the mail in the inbox. */
export async function readLedger(
  narrator: Narrator,
  company: Company,
  inbox: Inbox,
  options: { campaignId: string; before: number },
): Promise<Ledger> {
  const path = `${company.path}/email-marketing/campaigns/${options.campaignId}`;
  const ledger = await company.as.marketer.get(`${path}/ledger`, ledgerDocument);
  narrator.table([
    ['Audience', thousands(ledger.audience_size ?? 0)],
    ['Rows of the ledger', thousands(ledger.rows)],
    ...Object.entries(ledger.by_status).map(([status, count]) => [`  ${status}`, thousands(count)] as const),
  ]);
  for (const { status, reason, count } of ledger.reasons)
    narrator.say(`  ${status} because ${reason}: ${thousands(count)}`);
  narrator.say('Counts that were made independently of each other:');
  const isZero = ({ left, right }: Equation): boolean => left.count === 0 && right.count === 0;
  for (const { left, right, holds } of ledger.equations.filter((equation) => !isZero(equation))) {
    narrator.say(`  ${holds ? '✓' : '✗'} ${left.of} ${thousands(left.count)} = ${right.of} ${thousands(right.count)}`);
  }
  narrator.say(`  ✓ ${ledger.equations.filter(isZero).length} more: 0 = 0`);
  const recipients = await company.as.marketer.all(`${path}/recipients`, recipient);
  const matchesInbox = await compareWithInbox(narrator, inbox, options.before, recipients);
  const failed: Record<string, number> = {};
  for (const { status, reason, count } of ledger.reasons) {
    if (status === 'FAILED') failed[reason] = (failed[reason] ?? 0) + count;
  }
  return {
    materialised: ledger.rows,
    sent: ledger.by_status.SENT ?? 0,
    failed,
    unconfirmed: ledger.by_status.UNCONFIRMED ?? 0,
    balanced: ledger.balanced,
    matchesInbox,
    reasonOf: (contactId) => recipients.find((row) => row.contact_id === contactId)?.reason ?? undefined,
  };
}

/** One mail each for those who are SENT in the ledger, and none for anybody else. */
async function compareWithInbox(
  narrator: Narrator,
  inbox: Inbox,
  before: number,
  recipients: readonly z.output<typeof recipient>[],
): Promise<boolean> {
  const mails = await inbox.all(before, CAMPAIGN_SUBJECT);
  const copies = new Map<string, number>();
  for (const address of mails.flatMap((mail) => mail.envelopeTo)) {
    const key = comparable(address);
    copies.set(key, (copies.get(key) ?? 0) + 1);
  }
  const sent = recipients.filter((row) => row.delivery_status === 'SENT' && row.email !== null);
  const right = sent.filter(({ email }) => copies.get(comparable(email ?? '')) === 1).length;
  const twice = [...copies.values()].filter((count) => count > 1).length;
  const matches = right === sent.length && mails.length === sent.length && twice === 0;
  narrator.say(
    `  ${matches ? '✓' : '✗'} the inbox has ${counted(mails.length, 'mail')} of the campaign: one for each of the ` +
      `${thousands(sent.length)} SENT, ${twice} twice, ${mails.length - right} for anybody else`,
  );
  return matches;
}

/** An address with its domain as it travels (IDNA), so that one written two ways is one. */
function comparable(address: string): string {
  const at = address.lastIndexOf('@');
  return `${address.slice(0, at)}@${domainToASCII(address.slice(at + 1)) || address.slice(at + 1)}`.toLowerCase();
}
