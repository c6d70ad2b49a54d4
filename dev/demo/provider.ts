import { z } from 'zod';
import type { Company } from './people';

const provider = z.object({
  id: z.string(),
  name: z.string(),
  is_active: z.boolean(),
  settings: z.object({ host: z.string(), port: z.number() }),
});

const NAME = 'Built-in inbox';

/**
 * Makes the inbox the one provider of the workspace, with a limit per second so that a pause can be seen.
 * @throws Error when the workspace has an active provider of another host: the contacts of the demo have addresses at
 * real mailbox providers, so that nothing may leave this machine
 */
export async function useInbox(company: Company, smtpUrl: string, perSecond: number): Promise<void> {
  const { owner } = company.as;
  const inbox = new URL(smtpUrl);
  const settings = { host: inbox.hostname, port: Number(inbox.port), tls: 'off', connections: 8 };
  const path = `${company.path}/email-infrastructure/providers`;
  const known = await owner.all(path, provider);
  const ours = known.find(({ name }) => name === NAME);
  const foreign = known.find((other) => other !== ours && other.is_active);
  if (foreign) {
    throw new Error(
      `The provider “${foreign.name}” sends elsewhere, and the demo may only mail its own inbox. Remove it.`,
    );
  }
  const values = { settings, max_sends_per_second: perSecond, is_active: true };
  if (ours) await owner.request('PATCH', `${path}/${ours.id}`, provider, { body: values });
  else await owner.post(path, provider, { name: NAME, provider_type: 'SMTP', is_default: true, ...values });
}
