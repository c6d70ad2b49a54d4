import { z } from 'zod';
import { waitFor } from './wait';

const summary = z.object({
  id: z.number(),
  envelopeTo: z.array(z.string()),
  subject: z.string(),
  messageId: z.string(),
});
const list = z.object({ messages: z.array(summary), count: z.number(), received: z.number() });
const message = summary.extend({
  headers: z.array(z.object({ name: z.string(), value: z.string() })),
  text: z.string().nullable(),
  html: z.string().nullable(),
});

export type MailSummary = z.output<typeof summary>;
export type Mail = z.output<typeof message>;

const PAGE = 1_000;
const WAIT_MS = 60_000;

/** The captured mail, through the inbox's own interface. */
export class Inbox {
  constructor(readonly url: string) {}

  /** Id of the newest message; 0 when there is none. */
  async newestId(): Promise<number> {
    const { messages } = await this.#list({ limit: 1 });
    return messages[0]?.id ?? 0;
  }

  /** Everything that came after the message `after` and has `subject` in its subject, oldest first. */
  async all(after: number, subject: string): Promise<MailSummary[]> {
    const found: MailSummary[] = [];
    for (let last = after; ; ) {
      const { messages } = await this.#list({ after: last, search: subject, limit: PAGE });
      found.push(...messages);
      last = messages.at(-1)?.id ?? last;
      if (messages.length < PAGE) return found;
    }
  }

  async read(id: number): Promise<Mail> {
    const response = await fetch(`${this.url}/api/messages/${id}`, { signal: AbortSignal.timeout(WAIT_MS) });
    return message.parse(await response.json());
  }

  /** Waits for a message to `address` that came after `after`. */
  async waitForMail(address: string, after: number): Promise<Mail> {
    const found = await waitFor(`a mail to ${address}`, WAIT_MS, async () => {
      const { messages } = await this.#list({ to: address, after, limit: 1 });
      return messages[0];
    });
    return this.read(found.id);
  }

  async #list(query: Record<string, string | number>): Promise<z.output<typeof list>> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) parameters.set(name, String(value));
    const response = await fetch(`${this.url}/api/messages?${parameters}`, { signal: AbortSignal.timeout(WAIT_MS) });
    return list.parse(await response.json());
  }
}

/** First value of a header, by a name in any case; '' when it is absent. */
export function headerOf(mail: Mail, name: string): string {
  return mail.headers.find((field) => field.name.toLowerCase() === name.toLowerCase())?.value ?? '';
}
