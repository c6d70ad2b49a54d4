import { isbot } from 'isbot';

/** Who opened or clicked: a person, a program on nobody's behalf, or not to be told. */
export type EngagementActor = 'human' | 'machine' | 'unknown';

/** What is known of a request for a pixel or a link. */
export interface EngagementRequest {
  userAgent: string | undefined;
  /** Sec-Purpose, Purpose or X-Moz: a browser that fetches ahead says "prefetch". */
  purpose: string | undefined;
}

/**
 * Image proxies of mailbox providers. They fetch when the mail is opened, or long before (Apple's Mail Privacy
 * Protection, whose user agent is the bare "Mozilla/5.0"): an open through them proves nothing about a person.
 */
const IMAGE_PROXY = /GoogleImageProxy|YahooMailProxy|^Mozilla\/5\.0$|Outlook-iOS-Image|DuckDuckGo-Mail-Proxy/i;

/** Programs that follow links to judge them, and libraries that have no person in front of them. */
const SCANNER =
  /BarracudaCentral|Barracuda|Mimecast|Proofpoint|SafeLinks|Symantec|Cloudmark|MessageLabs|Sophos|Trend ?Micro|FireEye|HeadlessChrome|PhantomJS|Slackbot|facebookexternalhit|WhatsApp|TelegramBot|Discordbot|LinkPreview/i;

const MAIL_PROGRAM =
  /Thunderbird|Outlook|Microsoft Office|AppleMail|Airmail|Postbox|eM Client|The Bat|Evolution|KMail|Mailspring/i;

/** Judges by the user agent alone; the time since sending is not known where the request comes in. */
export function judgeActor({ userAgent, purpose }: EngagementRequest): EngagementActor {
  if (purpose !== undefined && /prefetch|preview|prerender/i.test(purpose)) return 'machine';
  if (userAgent === undefined || userAgent.trim() === '') return 'unknown';
  const shortened = userAgent.slice(0, MAX_USER_AGENT);
  const known = verdicts.get(shortened);
  if (known !== undefined) return known;
  const verdict = judgeUserAgent(shortened);
  if (verdicts.size >= MAX_KNOWN) verdicts.clear();
  verdicts.set(shortened, verdict);
  return verdict;
}

/** The lists are long regular expressions, and the same few thousand user agents come again and again. */
const verdicts = new Map<string, EngagementActor>();
const MAX_KNOWN = 5_000;
const MAX_USER_AGENT = 500;

function judgeUserAgent(userAgent: string): EngagementActor {
  if (IMAGE_PROXY.test(userAgent)) return 'unknown';
  if (SCANNER.test(userAgent)) return 'machine';
  if (MAIL_PROGRAM.test(userAgent)) return 'human';
  if (isbot(userAgent)) return 'machine';
  // Every browser and every mail program with a browser's engine begins so and goes on with a platform.
  return /^(?:Mozilla|Opera)\/\d+\.\d+ \(/.test(userAgent) ? 'human' : 'unknown';
}
