import { isUtf8 } from 'node:buffer';

/** Why bytes cannot be read as the text of a CSV. */
export type EncodingProblemCode = 'UTF_16' | 'BINARY' | 'NOT_UTF_8';

export interface EncodingProblem {
  readonly code: EncodingProblemCode;
  readonly message: string;
}

const MESSAGES: Record<EncodingProblemCode, string> = {
  UTF_16: 'the file is encoded in UTF-16; save it as "CSV UTF-8"',
  BINARY: 'the file holds NUL bytes, so it is no text; export it as CSV (a spreadsheet file is not one)',
  NOT_UTF_8: 'the file is not encoded in UTF-8; save it as "CSV UTF-8"',
};

/**
 * Turns a file's bytes into text, chunk by chunk, and refuses what is not UTF-8: a wrong guess would import garbled
 * names without anybody noticing. A byte order mark at the file's start is left out.
 */
export class Utf8Decoder {
  /** The first bytes of a character whose others have not come yet. */
  private pending: Buffer = Buffer.alloc(0);

  constructor(private atStart: boolean) {}

  /** Bytes taken that are not part of the text yet. */
  get pendingBytes(): number {
    return this.pending.length;
  }

  /** The text of the next bytes, or why they are none. */
  decode(chunk: Buffer): { ok: true; text: string } | ({ ok: false } & EncodingProblem) {
    let bytes = this.pending.length > 0 ? Buffer.concat([this.pending, chunk]) : chunk;
    if (this.atStart && bytes.length > 0) {
      const mark = bytes.subarray(0, 2).toString('latin1');
      if (mark === '\u00ff\u00fe' || mark === '\u00fe\u00ff') return problem('UTF_16');
      if (bytes.length >= 3 && bytes.readUIntBE(0, 3) === 0xefbbbf) bytes = bytes.subarray(3);
      this.atStart = false;
      if (looksLikeUtf16(bytes)) return problem('UTF_16');
    }
    if (bytes.includes(0)) return problem('BINARY');
    const complete = bytes.subarray(0, bytes.length - incompleteTail(bytes));
    if (!isUtf8(complete)) return problem('NOT_UTF_8');
    this.pending = Buffer.from(bytes.subarray(complete.length));
    return { ok: true, text: complete.toString('utf8') };
  }

  /** Whether the bytes ended inside a character. */
  end(): EncodingProblem | null {
    return this.pending.length === 0 ? null : { code: 'NOT_UTF_8', message: MESSAGES.NOT_UTF_8 };
  }
}

function problem(code: EncodingProblemCode): { ok: false } & EncodingProblem {
  return { ok: false, code, message: MESSAGES[code] };
}

/** Latin text in UTF-16 without a byte order mark: every other byte is NUL. */
function looksLikeUtf16(bytes: Buffer): boolean {
  const sample = bytes.subarray(0, 64);
  if (sample.length < 8) return false;
  let zeros = 0;
  for (const byte of sample) if (byte === 0) zeros++;
  return zeros >= sample.length * 0.4 && zeros <= sample.length * 0.6;
}

/** Number of bytes at the end that begin a character but do not complete it (RFC 3629, section 3). */
function incompleteTail(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes.readUInt8(bytes.length - back);
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? back : 0;
    }
  }
  return 0;
}
