import { domainToASCII } from 'node:url';

/** An address in the form it takes on the wire: in MAIL FROM, RCPT TO and in header fields. */
export type WireAddress = { ok: true; address: string; needsSmtpUtf8: boolean } | { ok: false };

// Space, controls and the angle brackets would let an address end the command or field it stands in.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const UNSAFE = /[\u0000-\u0020\u007f-\u00a0\u2028\u2029\ufeff<>]/;

/** RFC 5322 section 3.4.1 as it is met: dots anywhere, since a few providers gave such addresses away. */
const ASCII_ADDRESS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+$/;
const LOCAL_PART = /^(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u00a1-\u{10ffff}-]+|"(?:[^"\\]|\\.)+")$/u;
const ASCII_ONLY = /^[\u0021-\u007e]*$/;
const DOMAIN = /^(?:[A-Za-z0-9.-]+|\[[A-Za-z0-9:.]+\])$/;

/**
 * Makes an address fit for the wire. A Unicode domain becomes punycode (RFC 5891); a non-ASCII local part stays and
 * needs SMTPUTF8 (RFC 6531). Refused: anything with spaces, controls or angle brackets, even quoted, and characters
 * that an address list gives a meaning to, unless quoted.
 */
export function wireAddress(address: string): WireAddress {
  if (address.length <= 320 && ASCII_ADDRESS.test(address)) {
    return { ok: true, address, needsSmtpUtf8: false };
  }
  const at = address.lastIndexOf('@');
  if (address.length > 320 || UNSAFE.test(address) || at < 1) {
    return { ok: false };
  }
  const local = address.slice(0, at);
  const given = address.slice(at + 1);
  const domain = ASCII_ONLY.test(given) ? given : domainToASCII(given);
  if (!LOCAL_PART.test(local) || !DOMAIN.test(domain)) {
    return { ok: false };
  }
  return { ok: true, address: `${local}@${domain}`, needsSmtpUtf8: !ASCII_ONLY.test(local) };
}
