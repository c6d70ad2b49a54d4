/** One reply of an SMTP server (RFC 5321 section 4.2). */
export interface Reply {
  /** 200 to 599. */
  code: number;
  /** The text without the code; lines of a multi-line reply are joined by LF. */
  text: string;
}

/** The server does not speak SMTP, or floods us. The connection is of no more use. */
export class ReplySyntaxError extends Error {
  constructor(readonly line: string) {
    super('the server sent something that is no SMTP reply');
    this.name = 'ReplySyntaxError';
  }
}

/** RFC 5321 allows 512 octets in a line; real servers send more, hostile ones never stop. */
const MAX_LINE = 4096;
const MAX_LINES = 200;

const PLAIN = /^[ -~]*$/;

const CR = 13;
const DIGIT_0 = 48;
const SPACE = 32;
const HYPHEN = 45;

/**
 * Cuts a byte stream into replies. Pure: no socket, no time.
 * Lines end with LF, CR before it is optional (some servers forget it).
 */
export class ReplyParser {
  private rest = '';
  private lines: string[] = [];
  private code = 0;

  /**
   * @param chunk bytes read, as latin1
   * @param onReply called for each complete reply; returning false ends parsing and drops what follows
   * @throws ReplySyntaxError on garbage, on a line over 4096 octets and on a reply over 200 lines
   */
  push(chunk: string, onReply: (reply: Reply) => boolean): void {
    const input = this.rest === '' ? chunk : this.rest + chunk;
    let start = 0;
    for (;;) {
      const end = input.indexOf('\n', start);
      if (end < 0) {
        break;
      }
      const stop = end > start && input.charCodeAt(end - 1) === CR ? end - 1 : end;
      if (stop - start > MAX_LINE) {
        throw new ReplySyntaxError(input.slice(start, start + 200));
      }
      const reply = this.line(input, start, stop);
      start = end + 1;
      if (reply !== null && !onReply(reply)) {
        this.reset();
        return;
      }
    }
    this.rest = start === input.length ? '' : input.slice(start);
    if (this.rest.length > MAX_LINE) {
      throw new ReplySyntaxError(this.rest.slice(0, 200));
    }
  }

  /** Forgets everything buffered: what came before TLS must not count after it (RFC 3207 section 6). */
  reset(): void {
    this.rest = '';
    this.lines = [];
    this.code = 0;
  }

  private line(input: string, start: number, stop: number): Reply | null {
    const code = codeAt(input, start, stop);
    const separator = stop - start > 3 ? input.charCodeAt(start + 3) : SPACE;
    if (code < 200 || code > 599 || (separator !== SPACE && separator !== HYPHEN)) {
      throw new ReplySyntaxError(input.slice(start, Math.min(stop, start + 200)));
    }
    const text = input.slice(start + 4, stop);
    if (separator === SPACE && this.lines.length === 0) {
      return { code, text };
    }
    if (this.lines.length > 0 && code !== this.code) {
      throw new ReplySyntaxError(input.slice(start, Math.min(stop, start + 200)));
    }
    this.code = code;
    this.lines.push(text);
    if (this.lines.length > MAX_LINES) {
      throw new ReplySyntaxError(text.slice(0, 200));
    }
    if (separator === HYPHEN) {
      return null;
    }
    const reply = { code, text: this.lines.join('\n') };
    this.lines = [];
    return reply;
  }
}

function codeAt(input: string, start: number, stop: number): number {
  if (stop - start < 3) {
    return 0;
  }
  const hundreds = input.charCodeAt(start) - DIGIT_0;
  const tens = input.charCodeAt(start + 1) - DIGIT_0;
  const ones = input.charCodeAt(start + 2) - DIGIT_0;
  if (hundreds < 0 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) {
    return 0;
  }
  return hundreds * 100 + tens * 10 + ones;
}

/** "550 5.1.1 No such user" as one line, UTF-8 decoded, bounded: for logs (redacted) and delivery_attempts. */
export function replyText(reply: Reply): string {
  if (reply.text.length < 200 && PLAIN.test(reply.text)) {
    return `${reply.code} ${reply.text}`;
  }
  return Buffer.from(`${reply.code} ${reply.text.replaceAll('\n', ' / ')}`, 'latin1')
    .toString('utf8')
    .slice(0, 500);
}

/** The enhanced status code at the start of the text (RFC 2034 section 4, RFC 3463), e.g. "5.1.1"; else null. */
export function enhancedCode(reply: Reply): string | null {
  const match = /^([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)/.exec(reply.text);
  return match === null ? null : `${match[1]}.${match[2]}.${match[3]}`;
}
