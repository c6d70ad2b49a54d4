import { z } from 'zod';
import type { Narrator } from './narrator';
import type { Company } from './people';

const explanation = z.object({
  verdict: z.object({ kind: z.string(), reason: z.string().nullable() }),
  checks: z.array(z.object({ check: z.string(), verdict: z.object({ kind: z.string() }) })),
  evidence: z.object({
    consent: z
      .object({ event_id: z.string().nullable(), status: z.string(), source: z.string(), at: z.string() })
      .nullable(),
  }),
  delivery: z.object({ status: z.string(), reason: z.string().nullable() }).nullable(),
});

interface Somebody {
  contactId: string;
  email: string;
}

/**
 * Asks why one contact did not get the campaign, and what would be decided now about one who did get it and has
 * unsubscribed since: the answers come from the function that decides.
 * @returns true when both answers are right
 */
export async function explainTwo(
  narrator: Narrator,
  company: Company,
  options: { campaignId: string; withdrawn: Somebody; unsubscribed: Somebody },
): Promise<boolean> {
  const ask = ({ contactId }: Somebody) =>
    company.as.marketer.get(
      `${company.path}/contacts/${contactId}/explain?campaign=${options.campaignId}`,
      explanation,
    );
  const withdrawn = await ask(options.withdrawn);
  const { consent } = withdrawn.evidence;
  const against = withdrawn.checks.filter(({ verdict }) => verdict.kind !== 'OK').map(({ check }) => check);
  narrator.say(`${options.withdrawn.email}: ${outcomeOf(withdrawn)}.`);
  narrator.say(`  Of ${withdrawn.checks.length} checks, this speaks against it: ${against.join(', ')}.`);
  narrator.say(
    `  The proof: consent ${consent?.status} (${consent?.source}), ${consent?.at}, entry ${consent?.event_id}.`,
  );
  const unsubscribed = await ask(options.unsubscribed);
  const { verdict } = unsubscribed;
  narrator.say(
    `${options.unsubscribed.email}: ${outcomeOf(unsubscribed)}; now it would be ${verdict.kind} because ${verdict.reason}.`,
  );
  return (
    withdrawn.verdict.reason === 'CONSENT_DENIED' &&
    withdrawn.delivery?.reason === 'CONSENT_DENIED' &&
    consent?.status === 'denied' &&
    unsubscribed.delivery?.status === 'SENT' &&
    verdict.reason === 'UNSUBSCRIBED'
  );
}

function outcomeOf({ delivery }: z.output<typeof explanation>): string {
  if (delivery === null) return 'no message';
  return delivery.reason === null ? delivery.status : `${delivery.status} because ${delivery.reason}`;
}
