import { wallClock } from './measure';
import type { SinkTokens } from './sink/client';

/** Milliseconds from an API's answer to the message being at the sink. */
export interface Latencies {
  messages: number;
  /** Answered, and not at the sink when the measurement ended. */
  missing: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

type Kind = 'transactional' | 'optIn';

/** Transactional mail and sign-ups, so many of each a second, asked for over HTTP one by one. */
export class Trickle {
  private readonly answeredAt: Record<Kind, Map<string, number>> = { transactional: new Map(), optIn: new Map() };
  private readonly underWay = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | null = null;
  private number = 0;
  private failure: unknown = null;

  constructor(
    private readonly target: { apiUrl: string; workspaceId: string; key: string; template: string },
    private readonly perSecond: number,
  ) {}

  start(): void {
    this.timer = setInterval(() => {
      this.number += 1;
      for (const kind of ['transactional', 'optIn'] as const) {
        const asked = this.ask(kind, `${kind.toLowerCase()}${this.number}@trickle.example`).catch((error: unknown) => {
          this.failure ??= error;
        });
        this.underWay.add(asked);
        void asked.finally(() => this.underWay.delete(asked));
      }
    }, 1_000 / this.perSecond);
  }

  /** Ends when everything that was asked for is answered. */
  async stop(): Promise<void> {
    if (this.timer) clearInterval(this.timer);
    await Promise.all(this.underWay);
    if (this.failure !== null) throw this.failure;
  }

  get answered(): number {
    return this.answeredAt.transactional.size + this.answeredAt.optIn.size;
  }

  latencies(kind: Kind, tokens: SinkTokens): Latencies {
    const arrived = new Map(Object.values(tokens).map((token) => [token.recipient, token.acceptedAt[0] ?? 0]));
    const asked = [...this.answeredAt[kind]];
    const waited = asked
      .flatMap(([address, at]) => (arrived.has(address) ? [Math.max(0, (arrived.get(address) ?? 0) - at)] : []))
      .sort((left, right) => left - right);
    const at = (share: number): number => Math.round(waited[Math.floor((waited.length - 1) * share)] ?? 0);
    return {
      messages: asked.length,
      missing: asked.length - waited.length,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      maxMs: at(1),
    };
  }

  private async ask(kind: Kind, email: string): Promise<void> {
    const { apiUrl, workspaceId, key, template } = this.target;
    const [path, body] =
      kind === 'transactional'
        ? [`/workspaces/${workspaceId}/email-marketing/messages/send`, { template, to: { email } }]
        : [`/public/${workspaceId}/sign-up`, { email }];
    const answer = await fetch(new URL(path, apiUrl), {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...(kind === 'transactional' && { Authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.status !== 202) throw new Error(`${path}: ${answer.status} ${text.slice(0, 300)}`);
    this.answeredAt[kind].set(email, wallClock());
  }
}
