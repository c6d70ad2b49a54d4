import type { SendOutcome } from '../connector';
import { enhancedCode, type Reply, replyText } from './reply-parser';

/** Which command the server refused. `final` is the answer to the dot that ends the message. */
export type Stage = 'mail' | 'rcpt' | 'data' | 'final';

type Refusal = Extract<SendOutcome, { kind: 'throttled' | 'transient' | 'permanent' | 'unavailable' }>;

/** What a rule decides; the answer's code and text are added by {@link classify}. */
type Verdict =
  | { kind: 'throttled' | 'transient' | 'authentication' }
  | { kind: 'permanent'; scope: 'address' | 'sender' | 'message'; suppress?: true; otherRoute?: true };

interface Rule {
  /** For people reading the table. */
  name: string;
  stages?: readonly Stage[];
  codes?: readonly number[];
  /** Matched against the whole enhanced code, "" when there is none. */
  enhanced?: RegExp;
  text?: RegExp;
  verdict: Verdict;
}

const THROTTLED: Verdict = { kind: 'throttled' };
const TRANSIENT: Verdict = { kind: 'transient' };
const AUTHENTICATION: Verdict = { kind: 'authentication' };
const SENDER: Verdict = { kind: 'permanent', scope: 'sender' };
const MESSAGE: Verdict = { kind: 'permanent', scope: 'message' };
const ADDRESS: Verdict = { kind: 'permanent', scope: 'address' };
const NO_SUCH_ADDRESS: Verdict = { kind: 'permanent', scope: 'address', suppress: true };
const OTHER_ROUTE: Verdict = { kind: 'permanent', scope: 'address', otherRoute: true };

const RECIPIENT: readonly Stage[] = ['rcpt', 'data', 'final'];

/** Wordings of large receivers and common servers for "this mailbox does not exist". */
const UNKNOWN_RECIPIENT =
  /\b(?:no such (?:user|recipient|person|mailbox|address|account)|(?:user|recipient|mailbox|account|address)(?: (?:is|was))? (?:unknown|not found)|unknown (?:user|recipient|mailbox|local[- ]part|address)|(?:user|mailbox|account|address|recipient)\b.{0,80}\b(?:does not exist|doesn't exist|do not exist)|does(?:n't| not) have an? [\w.]{1,40} account|no mailbox (?:here|by that name)|not a (?:valid|known) (?:user|mailbox|recipient)|invalid (?:recipient|mailbox)|recipientnotfound|(?:account|mailbox) (?:has been |is )?(?:disabled|deactivated|closed)|requested action not taken: mailbox unavailable)/i;

/** Wordings that blame who sends or what route was taken, without an enhanced code. */
const BLOCKED =
  /\b(?:spam|blocked|block ?list(?:ed)?|blacklist(?:ed)?|reputation|dmarc|dkim|spf\b|relay(?:ing)? (?:access )?(?:denied|not permitted|not allowed)|not (?:permitted|allowed|authorized|authorised) to (?:send|relay)|policy|poor reputation|rbl\b|dnsbl|spamhaus)/i;

const GREYLISTED = /\bgr[ea]y ?-?list/i;

/**
 * First match decides. Sources: RFC 5321 section 4.2.3, RFC 3463, RFC 4954 (authentication), RFC 6531 (5.6.7),
 * RFC 7504, RFC 7505 (5.1.10).
 */
export const RULES: readonly Rule[] = [
  {
    name: 'log-in missing or refused',
    codes: [530, 534, 535, 538, 454],
    enhanced: /^(?:|5\.7\.\d+|4\.7\.0|5\.5\.1)$/,
    stages: ['mail'],
    verdict: AUTHENTICATION,
  },
  { name: 'log-in refused, whenever said', codes: [535], verdict: AUTHENTICATION },

  {
    name: 'greylisting wants the same message later',
    codes: [421, 450, 451],
    text: GREYLISTED,
    stages: RECIPIENT,
    verdict: TRANSIENT,
  },
  { name: 'service closes, try later', codes: [421], verdict: THROTTLED },
  {
    name: 'mailbox full for now',
    codes: [450, 451, 452],
    enhanced: /^4\.2\.[12]$/,
    stages: RECIPIENT,
    verdict: TRANSIENT,
  },
  { name: 'insufficient system storage, too many', codes: [452], verdict: THROTTLED },
  { name: 'policy asks to slow down', codes: [450, 451], enhanced: /^4\.7\.\d+$/, verdict: THROTTLED },
  {
    name: 'before a recipient is named nobody is to blame',
    codes: range(400, 499),
    stages: ['mail'],
    verdict: THROTTLED,
  },
  { name: 'any other "later"', codes: range(400, 499), verdict: TRANSIENT },

  { name: 'non-ASCII address not supported', enhanced: /^5\.6\.7$/, verdict: OTHER_ROUTE },
  {
    name: 'message too big',
    codes: [552],
    enhanced: /^(?:|5\.3\.4|5\.2\.3)$/,
    stages: ['mail', 'data', 'final'],
    verdict: MESSAGE,
  },
  { name: 'message too big by code', enhanced: /^5\.(?:3\.4|2\.3)$/, verdict: MESSAGE },
  { name: 'refused before a recipient was named', stages: ['mail'], verdict: SENDER },
  { name: 'security or policy', enhanced: /^5\.7\.\d+$/, verdict: SENDER },
  { name: 'bad sender address or domain', enhanced: /^5\.1\.[78]$/, verdict: SENDER },
  { name: 'address does not exist', enhanced: /^5\.(?:1\.(?:1|2|3|6|10)|2\.1)$/, verdict: NO_SUCH_ADDRESS },
  { name: 'mailbox full is soft', enhanced: /^5\.2\.2$/, verdict: TRANSIENT },
  { name: 'mailbox full by code 552 at RCPT', codes: [552], enhanced: /^$/, stages: ['rcpt'], verdict: TRANSIENT },
  {
    name: 'known text for an unknown recipient',
    enhanced: /^(?:|5\.0\.\d+|5\.5\.0|5\.2\.0|5\.4\.1|5\.1\.0)$/,
    text: UNKNOWN_RECIPIENT,
    verdict: NO_SUCH_ADDRESS,
  },
  { name: 'known text for a block', enhanced: /^(?:|5\.0\.\d+|5\.5\.0|5\.3\.0)$/, text: BLOCKED, verdict: SENDER },
  { name: 'content or conversion', enhanced: /^5\.6\.\d+$/, verdict: MESSAGE },
  { name: 'refused for this recipient', stages: ['rcpt'], verdict: ADDRESS },
  { name: 'addressing, mailbox or routing', enhanced: /^5\.[124]\.\d+$/, verdict: ADDRESS },
  { name: 'refused after the content', verdict: MESSAGE },
];

/**
 * Classes a 4xx or 5xx answer. "blocked" in a 5.1.1 does not help the recipient, and "user unknown" in a 5.7.1 does
 * not harm it: the enhanced code outranks the wording.
 * @param reply an answer of 400 to 599
 * @param stage the command it answers
 */
export function classify(reply: Reply, stage: Stage): Refusal {
  const enhanced = enhancedCode(reply);
  const rule = RULES.find(
    (candidate) =>
      (candidate.stages === undefined || candidate.stages.includes(stage)) &&
      (candidate.codes === undefined || candidate.codes.includes(reply.code)) &&
      (candidate.enhanced === undefined || candidate.enhanced.test(enhanced ?? '')) &&
      (candidate.text === undefined || candidate.text.test(reply.text)),
  );
  const verdict = rule?.verdict ?? MESSAGE;
  const answer = { code: reply.code, enhanced, reply: replyText(reply) };
  switch (verdict.kind) {
    case 'throttled':
      return { kind: 'throttled', retryAfterMs: null, ...answer };
    case 'transient':
      return { kind: 'transient', ...answer };
    case 'authentication':
      return { kind: 'unavailable', cause: 'authentication', reply: answer.reply, retryAfterMs: null };
    case 'permanent':
      return {
        kind: 'permanent',
        scope: verdict.scope,
        suppress: verdict.suppress === true,
        otherRoute: verdict.otherRoute === true,
        ...answer,
      };
  }
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
