import type { RefusalScope, SendOutcome, Verification } from '../connector';
import type { Exchange, HttpAnswer } from './transport';

const LONGEST_REPLY = 500;

/** The start of an answer's body, on one line. */
export function replyOf(answer: HttpAnswer): string {
  return answer.body.subarray(0, LONGEST_REPLY).toString('utf8').replace(/\s+/g, ' ').trim();
}

/** The body as JSON; null when it is none. */
export function jsonOf(answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.body.toString('utf8'));
  } catch {
    return null;
  }
}

/** Milliseconds that Retry-After (RFC 9110, section 10.2.3) or X-RateLimit-Reset (seconds since 1970) asks for. */
export function retryAfterMs(answer: HttpAnswer, now: Date): number | null {
  const given = answer.headers['retry-after'];
  if (given !== undefined) {
    const ms = /^\d{1,9}$/.test(given) ? Number(given) * 1000 : Date.parse(given) - now.getTime();
    return Number.isNaN(ms) ? null : Math.max(0, ms);
  }
  const reset = answer.headers['x-ratelimit-reset'];
  if (typeof reset !== 'string' || !/^\d{9,11}$/.test(reset)) return null;
  return Math.max(0, Number(reset) * 1000 - now.getTime());
}

/** A final refusal by an API; addresses are suppressed by the receiving server's words only, never by an API's check. */
export function refused(scope: RefusalScope, code: number | null, reply: string): SendOutcome {
  return { kind: 'permanent', scope, suppress: false, otherRoute: false, code, enhanced: null, reply };
}

/** No provider API takes raw UTF-8 in addresses (RFC 6531); a relay that offers SMTPUTF8 does. */
export function unsuitable(reply: string): SendOutcome {
  return {
    kind: 'permanent',
    scope: 'address',
    suppress: false,
    otherRoute: true,
    code: null,
    enhanced: '5.6.7',
    reply,
  };
}

export function unavailable(
  cause: 'authentication' | 'protocol',
  reply: string,
  retryAfter: number | null = null,
): SendOutcome {
  return { kind: 'unavailable', cause, reply, retryAfterMs: retryAfter };
}

/**
 * What every provider means by a status, where it does not say more itself. A 5xx other than 503 leaves open whether
 * the message was taken: providers are known to send after one, and gateways give 502 and 504 for lost answers.
 */
export function outcomeOfStatus(answer: HttpAnswer): SendOutcome {
  const { status } = answer;
  const reply = replyOf(answer);
  if (status === 429 || status === 408) {
    return { kind: 'throttled', retryAfterMs: retryAfterMs(answer, new Date()), code: status, enhanced: null, reply };
  }
  if (status === 503) return unavailable('protocol', `HTTP 503 ${reply}`, retryAfterMs(answer, new Date()));
  if (status >= 500) return { kind: 'unknown', cause: `HTTP ${status}` };
  if (status === 401 || status === 402 || status === 403) return unavailable('authentication', reply);
  if (status === 413) return refused('message', status, reply);
  if (status === 400 || status === 422) return refused('message', status, reply);
  return unavailable('protocol', `HTTP ${status} ${reply}`);
}

/** What a request without an answer means for its messages. */
export function outcomeWithoutAnswer(exchange: Exclude<Exchange, { kind: 'answer' }>): SendOutcome {
  switch (exchange.kind) {
    case 'unreachable':
      return { kind: 'unavailable', cause: exchange.cause, reply: exchange.reply, retryAfterMs: null };
    case 'withheld':
      return { kind: 'not-sent', cause: exchange.cause, inData: false };
    case 'cut':
      return { kind: 'not-sent', cause: 'dropped-in-data', inData: true };
    case 'unknown':
      return { kind: 'unknown', cause: exchange.cause };
  }
}

/** What a check makes of anything but a good answer. */
export function failedVerification(exchange: Exchange): Verification {
  if (exchange.kind !== 'answer') {
    const cause = exchange.kind === 'unreachable' ? exchange.cause : 'connect';
    const reply = exchange.kind === 'unreachable' ? exchange.reply : 'no answer came';
    return { ok: false, cause, reply };
  }
  const { answer } = exchange;
  if (answer.status === 429) return { ok: false, cause: 'throttled', reply: replyOf(answer) };
  const denied = answer.status === 401 || answer.status === 402 || answer.status === 403;
  return {
    ok: false,
    cause: denied ? 'authentication' : 'protocol',
    reply: `HTTP ${answer.status} ${replyOf(answer)}`,
  };
}

/** A check that found everything in order. */
export function verified(greeting: string, url: URL, capabilities: string[] = []): Verification {
  return { ok: true, greeting, capabilities, tls: url.protocol === 'https:' ? 'TLS' : null, authenticated: true };
}

/** A path below a base URL that may have a path of its own. */
export function below(endpoint: string, path: string): URL {
  return new URL(`${endpoint.replace(/\/+$/, '')}${path}`);
}
