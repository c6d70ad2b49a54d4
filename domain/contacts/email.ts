import { domainToASCII, domainToUnicode } from 'node:url';

export type EmailRefusal =
  | 'EMPTY'
  | 'TOO_LONG'
  | 'CONTROL_CHARACTER'
  | 'DISPLAY_NAME'
  | 'SPACE'
  | 'NO_AT_SIGN'
  | 'SEVERAL_AT_SIGNS'
  | 'LOCAL_PART'
  | 'DOMAIN';

export type NormalisedEmail =
  | {
      readonly ok: true;
      /** The identity within a workspace: NFC, lower case, domain in ASCII (punycode). At most 254 octets. */
      readonly email: string;
      /** As it was written, trimmed, with the domain in Unicode. For people to read. */
      readonly display: string;
      /** ASCII, lower case. */
      readonly domain: string;
    }
  | { readonly ok: false; readonly reason: EmailRefusal; readonly message: string };

/** RFC 5321, 4.5.3.1.1: octets before the @. */
const MAX_LOCAL_OCTETS = 64;
/** RFC 5321, 4.5.3.1.3: a path of 256 octets, less its angle brackets. */
const MAX_OCTETS = 254;
/** RFC 1035, 2.3.4, without the root's dot. */
const MAX_DOMAIN_OCTETS = 253;

const MESSAGES: Record<EmailRefusal, string> = {
  EMPTY: 'the address is empty',
  TOO_LONG: 'the address is longer than 254 octets, or its local part than 64',
  CONTROL_CHARACTER: 'the address contains a control character or a line break',
  DISPLAY_NAME: 'expected a bare address, without name, brackets or quotes',
  SPACE: 'the address contains a space',
  NO_AT_SIGN: 'the address has no @',
  SEVERAL_AT_SIGNS: 'the address has more than one @',
  LOCAL_PART: 'the part before the @ is malformed',
  DOMAIN: 'the part after the @ is no Internet domain',
};

/** RFC 5322, 3.2.3 (dot-atom), with RFC 6531's non-ASCII characters. Quoted local parts are refused. */
const ASCII_LOCAL = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;
const UNICODE_LOCAL =
  /^[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+)*$/u;
const NOT_IN_LOCAL = /[\p{C}\p{Z}]/u;
/** Letters, digits, hyphens (RFC 1123, 2.1), at least two labels, the last one not a number (so no IPv4 address). */
const HOST_NAME = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const ASCII = /^[\u0020-\u007e]*$/;

/**
 * Brings an address into the one form under which it is unique in a workspace, or says why it is none. Only the
 * syntax is judged; nothing is looked up. The local part is lower-cased, although RFC 5321 lets a host tell cases
 * apart: no mailbox provider does, and two contacts for one person is the greater harm. Dots and "+tags" are kept:
 * they are different mailboxes at most providers.
 */
export function normaliseEmail(input: string): NormalisedEmail {
  if (input.length > 4 * MAX_OCTETS) return refuse('TOO_LONG');
  const written = trimmed(input);
  if (written === '') return refuse('EMPTY');
  if (CONTROL.test(written)) return refuse('CONTROL_CHARACTER');
  if (/[<>"(),;:\\[\]]/.test(written)) return refuse('DISPLAY_NAME');
  if (/\s/.test(written)) return refuse('SPACE');
  const at = written.indexOf('@');
  if (at < 0) return refuse('NO_AT_SIGN');
  if (written.indexOf('@', at + 1) >= 0) return refuse('SEVERAL_AT_SIGNS');

  const writtenLocal = written.slice(0, at);
  const local = normaliseLocalPart(writtenLocal);
  if (local === null) return refuse('LOCAL_PART');
  const domain = normaliseDomain(written.slice(at + 1));
  if (domain === null) return refuse('DOMAIN');

  const localOctets = ASCII.test(local) ? local.length : Buffer.byteLength(local);
  if (localOctets > MAX_LOCAL_OCTETS || localOctets + 1 + domain.length > MAX_OCTETS) return refuse('TOO_LONG');
  return { ok: true, email: `${local}@${domain}`, display: `${writtenLocal}@${displayDomain(domain)}`, domain };
}

/** The domain in lower-case ASCII (IDNA, by the WHATWG's rules), or null if it is no name in the Internet's DNS. */
export function normaliseDomain(written: string): string | null {
  const known = domains.get(written);
  if (known !== undefined) return known;
  const domain = toAsciiDomain(written);
  if (domains.size >= MAX_KNOWN_DOMAINS) domains.clear();
  domains.set(written, domain);
  return domain;
}

/** Lists hold few domains and many addresses, so most look-ups end here. */
const domains = new Map<string, string | null>();
const MAX_KNOWN_DOMAINS = 10_000;

function toAsciiDomain(written: string): string | null {
  const lower = written.toLowerCase();
  // domainToASCII also decodes percent signs and accepts much else that belongs to URLs.
  if (written.length > MAX_DOMAIN_OCTETS || /[%/?#@:]/.test(lower)) return null;
  const needsIdna = !ASCII.test(lower) || lower.includes('xn--');
  const ascii = needsIdna ? domainToASCII(lower) : lower;
  return ascii.length <= MAX_DOMAIN_OCTETS && HOST_NAME.test(ascii) ? ascii : null;
}

function displayDomain(domain: string): string {
  return domain.includes('xn--') ? domainToUnicode(domain) : domain;
}

function normaliseLocalPart(written: string): string | null {
  const local = written.toLowerCase();
  if (ASCII.test(local)) return ASCII_LOCAL.test(local) ? local : null;
  const composed = local.normalize('NFC');
  return UNICODE_LOCAL.test(composed) && !NOT_IN_LOCAL.test(composed) ? composed : null;
}

/** Exports are full of no-break and zero-width spaces and of byte order marks. */
function trimmed(input: string): string {
  const text = ASCII.test(input) ? input : input.normalize('NFC').replace(/^[\s\u200b\u2060]+|[\s\u200b\u2060]+$/g, '');
  return text.trim();
}

function refuse(reason: EmailRefusal): NormalisedEmail {
  return { ok: false, reason, message: MESSAGES[reason] };
}
