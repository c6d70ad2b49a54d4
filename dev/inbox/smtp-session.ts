import type { Socket } from 'node:net';

export interface SessionLimits {
  /** Announced with SIZE; a larger message gets 552. */
  maxMessageBytes: number;
  maxRecipients: number;
}

export type Deliver = (envelopeFrom: string, envelopeTo: string[], raw: Buffer) => void;

/** RFC 5321 4.5.3.1.4 allows 512 octets; SMTPUTF8 and long local parts want more. */
const MAX_COMMAND_BYTES = 4_096;
const END_OF_DATA = Buffer.from('\r\n.\r\n');

/**
 * One SMTP connection (RFC 5321) that accepts everything: EHLO with PIPELINING, 8BITMIME, SMTPUTF8 and SIZE. Replies
 * to all commands of one packet leave in one write (RFC 2920).
 */
export class SmtpSession {
  #buffer: Buffer = Buffer.alloc(0);
  #from: string | undefined;
  #to: string[] = [];
  /** Chunks of the message under way; undefined while commands are expected. */
  #data: Buffer[] | undefined;
  #dataBytes = 0;
  /** The last bytes of the message so far, since its end may be split over packets. */
  #tail: Buffer = Buffer.alloc(0);
  #replies: string[] = [];

  constructor(
    private readonly socket: Socket,
    private readonly deliver: Deliver,
    private readonly limits: SessionLimits,
  ) {
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => socket.destroy());
    socket.write('220 inbox.localhost ESMTP Sally inbox\r\n');
  }

  #receive(chunk: Buffer): void {
    let rest: Buffer | undefined = chunk;
    while (rest && rest.length > 0 && !this.socket.destroyed) {
      rest = this.#data ? this.#receiveData(rest) : this.#receiveCommands(rest);
    }
    this.#flush();
  }

  #flush(): void {
    if (this.#replies.length > 0 && this.socket.writable) this.socket.write(`${this.#replies.join('\r\n')}\r\n`);
    this.#replies = [];
  }

  /** Handles whole lines until DATA; returns what belongs to the message. */
  #receiveCommands(chunk: Buffer): Buffer | undefined {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const end = this.#buffer.indexOf('\n');
      if (end < 0) {
        if (this.#buffer.length > MAX_COMMAND_BYTES) this.#refuse('500 5.5.2 Line too long');
        return undefined;
      }
      const line = this.#buffer.toString('utf8', 0, end).replace(/\r$/, '');
      this.#buffer = this.#buffer.subarray(end + 1);
      this.#command(line);
      if (this.#data) {
        const rest = this.#buffer;
        this.#buffer = Buffer.alloc(0);
        return rest;
      }
    }
  }

  #refuse(reply: string): void {
    this.#replies.push(reply);
    this.#flush();
    this.socket.end();
  }

  #command(line: string): void {
    const [verb = ''] = line.split(' ', 1);
    switch (verb.toUpperCase()) {
      case 'EHLO':
        this.#reset();
        this.#replies.push('250-inbox.localhost', '250-PIPELINING', `250-SIZE ${this.limits.maxMessageBytes}`);
        this.#replies.push('250-8BITMIME', '250-SMTPUTF8', '250 ENHANCEDSTATUSCODES');
        return;
      case 'HELO':
        this.#reset();
        this.#replies.push('250 inbox.localhost');
        return;
      case 'MAIL':
        this.#replies.push(this.#mail(line));
        return;
      case 'RCPT':
        this.#replies.push(this.#recipient(line));
        return;
      case 'DATA':
        this.#replies.push(this.#beginData());
        return;
      case 'RSET':
        this.#reset();
        this.#replies.push('250 2.0.0 Ok');
        return;
      case 'NOOP':
        this.#replies.push('250 2.0.0 Ok');
        return;
      case 'VRFY':
        this.#replies.push('252 2.1.5 Send it and see');
        return;
      case 'QUIT':
        this.#refuse('221 2.0.0 Bye');
        return;
      default:
        this.#replies.push('500 5.5.1 Unknown command');
    }
  }

  #mail(line: string): string {
    const match = /^MAIL FROM:\s*<([^>]*)>(.*)$/i.exec(line);
    if (!match) return '501 5.5.4 MAIL FROM:<address>';
    if (this.#from !== undefined) return '503 5.5.1 Sender already given';
    const size = Number(/\bSIZE=(\d+)/i.exec(match[2] ?? '')?.[1] ?? 0);
    if (size > this.limits.maxMessageBytes) return '552 5.3.4 Message too big';
    this.#from = match[1] ?? '';
    return '250 2.1.0 Ok';
  }

  #recipient(line: string): string {
    const match = /^RCPT TO:\s*<([^>]+)>/i.exec(line);
    if (this.#from === undefined) return '503 5.5.1 MAIL first';
    if (!match) return '501 5.5.4 RCPT TO:<address>';
    if (this.#to.length >= this.limits.maxRecipients) return '452 4.5.3 Too many recipients';
    this.#to.push(match[1] ?? '');
    return '250 2.1.5 Ok';
  }

  #beginData(): string {
    if (this.#to.length === 0) return '503 5.5.1 RCPT first';
    this.#data = [];
    this.#dataBytes = 0;
    // A message that begins with the final dot is empty.
    this.#tail = Buffer.from('\r\n');
    return '354 End with <CR><LF>.<CR><LF>';
  }

  /** Collects the message; returns what came behind its end. */
  #receiveData(chunk: Buffer): Buffer | undefined {
    const data = this.#data ?? [];
    const joined = Buffer.concat([this.#tail, chunk]);
    const end = joined.indexOf(END_OF_DATA);
    const taken = end < 0 ? chunk.length : end + END_OF_DATA.length - this.#tail.length;
    this.#dataBytes += taken;
    if (this.#dataBytes <= this.limits.maxMessageBytes + END_OF_DATA.length) data.push(chunk.subarray(0, taken));
    if (end < 0) {
      this.#tail = Buffer.from(joined.subarray(Math.max(0, joined.length - END_OF_DATA.length + 1)));
      return undefined;
    }
    this.#replies.push(this.#endOfData(Buffer.concat(data)));
    return chunk.subarray(taken);
  }

  #endOfData(received: Buffer): string {
    const tooBig = this.#dataBytes > this.limits.maxMessageBytes + END_OF_DATA.length;
    const [from, to] = [this.#from ?? '', this.#to];
    this.#reset();
    if (tooBig) return '552 5.3.4 Message too big';
    // Without the final ".\r\n"; the line break before it belongs to the message.
    this.deliver(from, to, removeDotStuffing(received.subarray(0, received.length - 3)));
    return '250 2.0.0 Ok: captured';
  }

  #reset(): void {
    this.#from = undefined;
    this.#to = [];
    this.#data = undefined;
    this.#dataBytes = 0;
    this.#tail = Buffer.alloc(0);
  }
}

/** RFC 5321 4.5.2: a leading dot of every line that has one more character is removed. */
export function removeDotStuffing(data: Buffer): Buffer {
  const stuffed = '\r\n.';
  let at = data.indexOf(stuffed);
  if (at < 0 && data[0] !== 46) return data;
  const pieces: Buffer[] = [];
  let from = data[0] === 46 ? 1 : 0;
  while (at >= 0) {
    pieces.push(data.subarray(from, at + 2));
    from = at + 3;
    at = data.indexOf(stuffed, from);
  }
  pieces.push(data.subarray(from));
  return Buffer.concat(pieces);
}
