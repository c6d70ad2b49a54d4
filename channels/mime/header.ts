import { wireAddress } from '../address';
import { encodeWords } from './encoded-word';
import { MimeError } from './mime-error';

/** A person or role in From, To or Reply-To. */
export interface Mailbox {
  /** Display name as people write it; empty for none. */
  name: string;
  address: string;
}

/** Lines should end here, RFC 5322 section 2.1.1. */
const FOLD_AT = 76;
/** Octets in a line must stay below 998. */
const MAX_URL = 900;
/** A word or a run of spaces so long that folding at single spaces may not help; it is encoded instead. */
const UNFOLDABLE = /[^ ]{400}| {100}/;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;
const PRINTABLE = /^[ -~]*$/;
const ATOMS = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/;
const LOOKS_ENCODED = '=?';

/**
 * Text for one header line: every run of control characters (so also CR, LF, NUL and the Unicode line ends) becomes
 * one space. Header injection ends here: whatever a contact's name or a rendered subject holds, it is one line.
 */
export function oneLine(text: string): string {
  return text.replace(CONTROLS, ' ').trim();
}

/**
 * An unstructured field such as Subject, CR LF at its end; folded if ASCII, else in encoded words (RFC 2047).
 * @param name the field's name
 */
export function textField(name: string, value: string): string {
  const text = oneLine(value);
  if (text.length + name.length < FOLD_AT && PRINTABLE.test(text) && !text.includes(LOOKS_ENCODED)) {
    return `${name}: ${text}\r\n`;
  }
  const plain = PRINTABLE.test(text) && !text.includes(LOOKS_ENCODED) && !UNFOLDABLE.test(text);
  const body = plain ? fold(text, name.length + 2) : encodeWords(text, name.length + 2);
  return `${name}: ${body}\r\n`;
}

/** An address field and whether it holds raw UTF-8, which needs SMTPUTF8 (RFC 6532). */
export interface AddressField {
  line: string;
  smtpUtf8: boolean;
}

/**
 * From, To or Reply-To with one mailbox, CR LF at its end.
 * @param field what a {@link MimeError} calls it
 * @throws MimeError when the address is no address
 */
export function addressField(name: string, mailbox: Mailbox, field: string): AddressField {
  const wire = wireAddress(mailbox.address);
  if (!wire.ok) {
    throw new MimeError(field, 'is no e-mail address');
  }
  const { address, needsSmtpUtf8 } = wire;
  const display = mailbox.name === '' ? '' : displayName(mailbox.name, name.length + 2);
  if (display === '') {
    return { line: `${name}: ${address}\r\n`, smtpUtf8: needsSmtpUtf8 };
  }
  const lastLine = display.length - display.lastIndexOf('\n') - 1;
  const used = display.includes('\n') ? lastLine : name.length + 2 + display.length;
  const gap = used + address.length + 3 > FOLD_AT ? '\r\n ' : ' ';
  return { line: `${name}: ${display}${gap}<${address}>\r\n`, smtpUtf8: needsSmtpUtf8 };
}

/** A phrase of RFC 5322: atoms as they are, other ASCII quoted, everything else encoded. */
function displayName(given: string, used: number): string {
  if (given.length < 60 && ATOMS.test(given) && !given.includes(LOOKS_ENCODED)) {
    return given;
  }
  const name = oneLine(given);
  if (name.length < 60 && PRINTABLE.test(name) && !name.includes(LOOKS_ENCODED)) {
    return name === '' ? '' : `"${name.replace(/["\\]/g, '\\$&')}"`;
  }
  return encodeWords(name, used);
}

/** Breaks at spaces so that lines stay within 76 characters where words allow it. */
function fold(text: string, used: number): string {
  let out = '';
  let line = used;
  // Space runs stay with the word before them: a folded line must never be white space only.
  for (const piece of text.match(/ ?[^ ]+ *(?= |$)|[^ ]+/g) ?? []) {
    if (line + piece.length > FOLD_AT && out !== '' && piece.startsWith(' ')) {
      out += '\r\n';
      line = 0;
    }
    out += piece;
    line += piece.length;
  }
  return out;
}

let dateSecond = -1;
let dateText = '';

/** RFC 5322 section 3.3, in UTC; the last second is remembered since bulk mail shares it. */
export function dateField(date: Date): string {
  const second = Math.floor(date.getTime() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = `Date: ${date.toUTCString().replace('GMT', '+0000')}\r\n`;
  }
  return dateText;
}

const MESSAGE_ID = /^[\w!#$%&'*+\-/=?^`{|}~.]+@[A-Za-z0-9.-]+$/;

/** @param messageId without angle brackets @throws MimeError */
export function messageIdField(messageId: string): string {
  if (messageId.length > 250 || !MESSAGE_ID.test(messageId)) {
    throw new MimeError('messageId', 'must look like id@domain');
  }
  return `Message-ID: <${messageId}>\r\n`;
}

/** References that a mail carries at most: the first and the newest (RFC 5322 section 3.6.4 asks for no more). */
const MOST_REFERENCES = 20;

/** In-Reply-To and References (RFC 5322 section 3.6.4); nothing for the first mail of a thread. */
export function threadFields(thread: readonly string[]): string {
  const newest = thread.at(-1);
  if (newest === undefined) return '';
  for (const messageId of thread) {
    if (messageId.length > 250 || !MESSAGE_ID.test(messageId)) {
      throw new MimeError('thread', 'must hold Message-IDs that look like id@domain');
    }
  }
  const kept =
    thread.length <= MOST_REFERENCES ? thread : [...thread.slice(0, 1), ...thread.slice(1 - MOST_REFERENCES)];
  return `In-Reply-To: <${newest}>\r\nReferences: ${kept.map((messageId) => `<${messageId}>`).join('\r\n ')}\r\n`;
}

const URL_TEXT = /^(?:https?|mailto):[!-;=?-~]+$/;

/** @throws MimeError unless it is an absolute URL in ASCII without white space and angle brackets */
export function checkUrl(url: string, field: string): string {
  if (url.length > MAX_URL || !URL_TEXT.test(url)) {
    throw new MimeError(field, 'must be an absolute http, https or mailto URL in ASCII');
  }
  return url;
}
