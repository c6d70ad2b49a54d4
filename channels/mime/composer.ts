import { randomBytes } from 'node:crypto';
import {
  type AddressField,
  addressField,
  checkUrl,
  dateField,
  type Mailbox,
  messageIdField,
  oneLine,
  textField,
  threadFields,
} from './header';
import { MimeError } from './mime-error';
import {
  type BodyFacts,
  base64,
  base64Length,
  examine,
  identityEncoding,
  quotedPrintable,
  quotedPrintableBound,
  type TransferEncoding,
} from './transfer-encoding';

/** What all messages of one content version and sender share. */
export interface FixedHeader {
  from: Mailbox;
  replyTo: Mailbox | null;
  /** RFC 2919, e.g. "newsletter.example.com"; null for none. */
  listId: string | null;
  /** "campaign:workspace:…:sender" as mailbox providers read it; null for none. */
  feedbackId: string | null;
  /** RFC 3834, "Auto-Submitted: auto-generated": opt-in and transactional mail. */
  autoSubmitted: boolean;
  /** Further fields; names that the composer or the way of mail owns are refused. */
  extra: Record<string, string>;
}

/** What is filled in for one recipient. */
export interface PersonalPart {
  to: Mailbox;
  subject: string;
  /** At least one of text and html must be given. */
  text: string | null;
  html: string | null;
  /** id@domain, without angle brackets. */
  messageId: string;
  date: Date;
  /** Message-IDs of the mails that this one continues, oldest first, without angle brackets; absent for none. */
  thread?: readonly string[];
  /** RFC 8058: where one POST unsubscribes; adds List-Unsubscribe and List-Unsubscribe-Post. Null for none. */
  unsubscribeUrl: string | null;
  /** `7bit` for servers without 8BITMIME and for messages that are to be signed. */
  encoding: '8bit' | '7bit';
}

export interface ComposedMessage {
  /** The RFC 5322 message, every line end CR LF. */
  content: Buffer;
  /** The body holds octets above 127 (needs 8BITMIME). */
  eightBit: boolean;
  /** The header holds raw UTF-8 (needs SMTPUTF8). */
  smtpUtf8: boolean;
}

export type Compose = (personal: PersonalPart) => ComposedMessage;

const OWNED =
  /^(?:from|to|cc|bcc|sender|reply-to|subject|date|message-id|mime-version|content-.*|list-.*|feedback-id|auto-submitted|dkim-signature|return-path|received|resent-.*|x-sally-.*)$/i;
const FIELD_NAME = /^[!-9;-~]{1,60}$/;
const LIST_ID = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]{1,255}$/;

/**
 * Prepares everything that is the same for all recipients; the returned function only fills in and encodes.
 * @throws MimeError when a fixed value can't stand in a header
 */
export function createComposer(fixed: FixedHeader): Compose {
  const from = addressField('From', fixed.from, 'from');
  const replyTo = fixed.replyTo === null ? NO_FIELD : addressField('Reply-To', fixed.replyTo, 'replyTo');
  const before = from.line;
  const after = replyTo.line + fixedFields(fixed);
  const fixedUtf8 = from.smtpUtf8 || replyTo.smtpUtf8;
  // "=_" can occur in no quoted-printable and no base64 body (RFC 2045 section 6.7); other bodies are searched for it.
  const boundary = `=_sally_${randomBytes(15).toString('base64url')}`;
  const multipart = `Content-Type: multipart/alternative; boundary="${boundary}"\r\n\r\n`;
  const eightBitMultipart = `Content-Transfer-Encoding: 8bit\r\n${multipart}`;
  const parts = new PartWriter(Buffer.from(`--${boundary}`, 'latin1'));

  return (personal) => {
    const to = addressField('To', personal.to, 'to');
    let header = `${before}${to.line}${textField('Subject', personal.subject)}${dateField(personal.date)}${messageIdField(personal.messageId)}${threadFields(personal.thread ?? [])}`;
    if (personal.unsubscribeUrl !== null) {
      const url = checkUrl(personal.unsubscribeUrl, 'unsubscribeUrl');
      header += `List-Unsubscribe: <${url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n`;
    }
    header += after;
    const { text, html, encoding } = personal;
    const allow8Bit = encoding === '8bit';
    const smtpUtf8 = fixedUtf8 || to.smtpUtf8;
    if (text !== null && html !== null) {
      const plain = parts.prepare(text, allow8Bit, 0);
      const rich = parts.prepare(html, allow8Bit, 1);
      const eightBit = plain.encoding === '8bit' || rich.encoding === '8bit';
      // RFC 2045 section 6.4: a multipart is labelled 8bit when a part is.
      header += eightBit ? eightBitMultipart : multipart;
      return { content: join(header, smtpUtf8, boundary, plain, rich), eightBit, smtpUtf8 };
    }
    const only = parts.prepare(text ?? html ?? missingBody(), allow8Bit, 0);
    header += partHeader(text === null ? 'html' : 'plain', only.encoding);
    return { content: joinOne(header, smtpUtf8, only), eightBit: only.encoding === '8bit', smtpUtf8 };
  };
}

const NO_FIELD: AddressField = { line: '', smtpUtf8: false };

function missingBody(): never {
  throw new MimeError('text', 'a message needs a text or an HTML part');
}

function fixedFields(fixed: FixedHeader): string {
  let fields = '';
  if (fixed.listId !== null) {
    if (!LIST_ID.test(fixed.listId)) {
      throw new MimeError('listId', 'must be a domain-like identifier');
    }
    fields += `List-Id: <${fixed.listId}>\r\n`;
  }
  if (fixed.feedbackId !== null) {
    fields += textField('Feedback-ID', fixed.feedbackId);
  }
  if (fixed.autoSubmitted) {
    fields += 'Auto-Submitted: auto-generated\r\n';
  }
  for (const [name, value] of Object.entries(fixed.extra)) {
    if (!FIELD_NAME.test(name) || OWNED.test(name)) {
      throw new MimeError(`extra.${name}`, 'is not a header field that may be set');
    }
    if (oneLine(value) !== value.trim()) {
      throw new MimeError(`extra.${name}`, 'must be one line without control characters');
    }
    fields += textField(name, value);
  }
  return `${fields}MIME-Version: 1.0\r\n`;
}

/** A body as it will travel: bytes[0, length) of a buffer that is valid until the part is prepared again. */
interface PreparedPart {
  bytes: Buffer;
  length: number;
  encoding: TransferEncoding;
}

/** Never seen behind withCrLf; would be encoded rather than sent. */
const ODD_LINE_ENDS: BodyFacts = { ascii: false, longestLine: Number.POSITIVE_INFINITY, hasNul: false };

/** Turns text into encoded bytes in memory that is kept from message to message. */
class PartWriter {
  private readonly raw = [new Scratch(), new Scratch()];
  private readonly encoded = [new Scratch(), new Scratch()];

  constructor(private readonly delimiter: Buffer) {}

  prepare(text: string, allow8Bit: boolean, slot: 0 | 1): PreparedPart {
    const raw = this.raw[slot] as Scratch;
    const write = (lines: string): number => {
      raw.reserve(lines.length * 3);
      return raw.bytes.write(lines, 0, 'utf8');
    };
    // The first line end tells what the others are, nearly always: most content is written once.
    const first = text.indexOf('\n');
    let length = write(first >= 0 && text[first - 1] !== '\r' ? withCrLf(text) : text);
    let facts = examine(raw.bytes, raw.words, length);
    if (facts === null) {
      length = write(withCrLf(text));
      facts = examine(raw.bytes, raw.words, length) ?? ODD_LINE_ENDS;
    }
    const identity = identityEncoding(facts, allow8Bit);
    if (identity !== null && !holds(raw.bytes, length, this.delimiter)) {
      return { bytes: raw.bytes, length, encoding: identity };
    }
    const encoded = this.encoded[slot] as Scratch;
    const asBase64 = base64Length(length);
    encoded.reserve(Math.max(quotedPrintableBound(length), asBase64));
    const asQuoted = quotedPrintable(raw.bytes, 0, length, encoded.bytes, 0);
    if (asQuoted <= asBase64) {
      return { bytes: encoded.bytes, length: asQuoted, encoding: 'quoted-printable' };
    }
    return { bytes: encoded.bytes, length: base64(raw.bytes, 0, length, encoded.bytes, 0), encoding: 'base64' };
  }
}

class Scratch {
  bytes = Buffer.alloc(0);
  words = new Int32Array(0);

  reserve(octets: number): void {
    if (this.bytes.length < octets) {
      const memory = new ArrayBuffer(Math.ceil(Math.max(octets, 16_384) / 4) * 4);
      this.bytes = Buffer.from(memory);
      this.words = new Int32Array(memory);
    }
  }
}

function holds(bytes: Buffer, length: number, delimiter: Buffer): boolean {
  return bytes.subarray(0, length).includes(delimiter);
}

/** Every line end, of whatever kind, becomes CR LF. Content that has them already does not come here. */
function withCrLf(text: string): string {
  const lines = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
  return lines.replace(/\n/g, '\r\n');
}

function partHeader(subtype: 'plain' | 'html', encoding: TransferEncoding): string {
  return `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`;
}

function join(header: string, utf8: boolean, boundary: string, plain: PreparedPart, rich: PreparedPart): Buffer {
  const first = `--${boundary}\r\n${partHeader('plain', plain.encoding)}`;
  const second = `\r\n--${boundary}\r\n${partHeader('html', rich.encoding)}`;
  const last = `\r\n--${boundary}--\r\n`;
  const headerLength = utf8 ? Buffer.byteLength(header, 'utf8') : header.length;
  const content = Buffer.allocUnsafe(
    headerLength + first.length + plain.length + second.length + rich.length + last.length,
  );
  let at = content.write(header, 0, utf8 ? 'utf8' : 'latin1');
  at += content.write(first, at, 'latin1');
  at += plain.bytes.copy(content, at, 0, plain.length);
  at += content.write(second, at, 'latin1');
  at += rich.bytes.copy(content, at, 0, rich.length);
  content.write(last, at, 'latin1');
  return content;
}

function joinOne(header: string, utf8: boolean, part: PreparedPart): Buffer {
  const headerLength = utf8 ? Buffer.byteLength(header, 'utf8') : header.length;
  const ended = part.length >= 2 && part.bytes[part.length - 1] === 10;
  const content = Buffer.allocUnsafe(headerLength + part.length + (ended ? 0 : 2));
  const at = content.write(header, 0, utf8 ? 'utf8' : 'latin1');
  part.bytes.copy(content, at, 0, part.length);
  if (!ended) {
    content.write('\r\n', at + part.length, 'latin1');
  }
  return content;
}
