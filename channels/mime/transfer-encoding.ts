/** Content-Transfer-Encoding (RFC 2045 section 6), on bytes. */

export type TransferEncoding = '7bit' | '8bit' | 'quoted-printable' | 'base64';

/** What decides how a body may travel. */
export interface BodyFacts {
  ascii: boolean;
  /** Octets of the longest line without its CR LF. */
  longestLine: number;
  /** NUL may not travel unencoded (RFC 2045 section 2.8). */
  hasNul: boolean;
}

/** RFC 5322 section 2.1.1: octets in a line without its CR LF. */
export const MAX_LINE = 998;

const LF = 10;
const CR = 13;
const TAB = 9;
const SPACE = 32;
const EQUALS = 61;

/**
 * Looks at a body whose line ends are CR LF. Reads whole words and stops at control characters only.
 * @param words the same memory as bytes; start must be a multiple of four
 */
export function examine(bytes: Buffer, words: Int32Array, start: number, end: number): BodyFacts {
  let high = 0;
  let longest = 0;
  let lineStart = start;
  let hasNul = false;
  let index = start;
  const lastWord = end - ((end - start) & 3);
  for (; index < lastWord; index += 4) {
    const four = words[index >> 2] as number;
    high |= four;
    // "Some octet is below 14": line ends, tabs, NUL.
    if (((four - 0x0e0e0e0e) & ~four & 0x80808080) === 0) {
      continue;
    }
    for (let at = index; at < index + 4; at++) {
      const byte = bytes[at];
      if (byte === LF) {
        longest = Math.max(longest, at - lineStart - 1);
        lineStart = at + 1;
      } else if (byte === 0) {
        hasNul = true;
      }
    }
  }
  for (; index < end; index++) {
    const byte = bytes[index] as number;
    high |= byte;
    if (byte === LF) {
      longest = Math.max(longest, index - lineStart - 1);
      lineStart = index + 1;
    } else if (byte === 0) {
      hasNul = true;
    }
  }
  longest = Math.max(longest, end - lineStart);
  return { ascii: (high & 0x80808080) === 0, longestLine: longest, hasNul };
}

/** Whether the body may go as it is, and under which name. */
export function identityEncoding(facts: BodyFacts, eightBitAllowed: boolean): '7bit' | '8bit' | null {
  if (facts.longestLine > MAX_LINE || facts.hasNul) {
    return null;
  }
  return facts.ascii ? '7bit' : eightBitAllowed ? '8bit' : null;
}

const HEX = Buffer.from('0123456789ABCDEF');

/** 1 for octets that quoted-printable leaves alone wherever they stand. */
const PLAIN = new Uint8Array(256);
for (let octet = 33; octet <= 126; octet++) {
  PLAIN[octet] = octet === EQUALS ? 0 : 1;
}

/** Upper bound of {@link quotedPrintable}'s output: all escaped, with soft line breaks. */
export const quotedPrintableBound = (octets: number): number => octets * 3 + Math.ceil(octets / 24) * 3 + 8;

/**
 * Quoted-printable of bytes[start, end), line ends CR LF, written to target at offset. Lines are at most 76 long.
 * @returns the offset behind the last octet
 */
export function quotedPrintable(bytes: Buffer, start: number, end: number, target: Buffer, offset: number): number {
  let out = offset;
  let column = 0;
  for (let index = start; index < end; index++) {
    const byte = bytes[index] as number;
    if (byte === CR && bytes[index + 1] === LF && index + 1 < end) {
      target[out++] = CR;
      target[out++] = LF;
      column = 0;
      index++;
      continue;
    }
    // White space before a line end would be lost on the way (rule 3).
    const plain = PLAIN[byte] === 1 || ((byte === SPACE || byte === TAB) && !atLineEnd(bytes, index + 1, end));
    if (column + (plain ? 1 : 3) > 75) {
      target[out++] = EQUALS;
      target[out++] = CR;
      target[out++] = LF;
      column = 0;
    }
    if (plain) {
      target[out++] = byte;
      column++;
    } else {
      target[out++] = EQUALS;
      target[out++] = HEX[byte >> 4] as number;
      target[out++] = HEX[byte & 15] as number;
      column += 3;
    }
  }
  return out;
}

function atLineEnd(bytes: Buffer, index: number, end: number): boolean {
  return index >= end || (bytes[index] === CR && bytes[index + 1] === LF);
}

/** Exact length of {@link base64}'s output. */
export function base64Length(octets: number): number {
  const characters = Math.ceil(octets / 3) * 4;
  return characters + Math.max(0, Math.ceil(characters / 76) - 1) * 2;
}

/**
 * Base64 of bytes[start, end) in lines of 76, written to target at offset.
 * @returns the offset behind the last octet
 */
export function base64(bytes: Buffer, start: number, end: number, target: Buffer, offset: number): number {
  // Written in one piece at the far end, then moved forward line by line: wrapping a string costs several times more.
  const length = Math.ceil((end - start) / 3) * 4;
  const breaks = Math.max(0, Math.ceil(length / 76) - 1);
  const raw = offset + breaks * 2;
  target.write(bytes.toString('base64', start, end), raw, 'latin1');
  let out = offset;
  for (let at = 0; at < length; at += 76) {
    if (at > 0) {
      target[out++] = CR;
      target[out++] = LF;
    }
    const stop = Math.min(at + 76, length);
    target.copyWithin(out, raw + at, raw + stop);
    out += stop - at;
  }
  return out;
}
