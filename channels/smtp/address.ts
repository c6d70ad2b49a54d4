import { domainToASCII } from 'node:url';

/** An address in the form it takes in MAIL FROM and RCPT TO. */
export type EnvelopeAddress = { ok: true; path: string; needsSmtpUtf8: boolean } | { ok: false };

// Space, controls and the angle brackets would let an address end the command it stands in.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const UNSAFE = /[\u0000-\u0020\u007f-\u00a0\u2028\u2029\ufeff<>]/;
const ASCII_ONLY = /^[\u0021-\u007e]+$/;

/**
 * Makes an address fit for the envelope. A Unicode domain becomes punycode (RFC 5891); a non-ASCII local part stays
 * and needs SMTPUTF8 (RFC 6531). Quoted local parts with spaces are refused. Empty is the null sender.
 */
export function envelopeAddress(address: string): EnvelopeAddress {
  if (address === '') {
    return { ok: true, path: '', needsSmtpUtf8: false };
  }
  if (address.length > 320 || UNSAFE.test(address)) {
    return { ok: false };
  }
  const at = address.lastIndexOf('@');
  if (at < 1 || at === address.length - 1) {
    return { ok: false };
  }
  if (ASCII_ONLY.test(address)) {
    return { ok: true, path: address, needsSmtpUtf8: false };
  }
  const domain = domainToASCII(address.slice(at + 1));
  if (domain === '') {
    return { ok: false };
  }
  const local = address.slice(0, at);
  return { ok: true, path: `${local}@${domain}`, needsSmtpUtf8: !ASCII_ONLY.test(local) };
}
