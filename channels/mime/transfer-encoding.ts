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
 * Looks at bytes[0, end). Reads whole words and stops at control characters only.
 * @param words the same memory as bytes
 * @returns null as soon as a line end is not CR LF
 */
export function examine(bytes: Buffer, words: Int32Array, end: number): BodyFacts | null {
  let high = 0;
  let longest = 0;
  let lineStart = 0;
  let hasNul = false;
  const lastWord = end & ~3;
  for (let index = 0; index < end; index += 4) {
    let stop = end;
    if (index < lastWord) {
      const four = words[index >> 2] as number;
      high |= four;
      // "Some octet is below 14": line ends, tabs, NUL.
      if (((four - 0x0e0e0e0e) & ~four & 0x80808080) === 0) {
        continue;
      }
      stop = index + 4;
    }
    for (let at = index; at < stop; at++) {
      const byte = bytes[at] as number;
      if (byte === LF) {
        if (at === 0 || bytes[at - 1] !== CR) {
          return null;
        }
        longest = Math.max(longest, at - lineStart - 1);
        lineStart = at + 1;
      } else if (byte === CR) {
        if (at + 1 === end || bytes[at + 1] !== LF) {
          return null;
        }
      } else if (byte === 0) {
        hasNul = true;
      } else {
        high |= byte;
      }
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

/** 1 for octets that quoted-printable leaves alone, white space included though not before a line end. */
const PLAIN = new Uint8Array(256);
for (let octet = SPACE; octet <= 126; octet++) {
  PLAIN[octet] = octet === EQUALS ? 0 : 1;
}
PLAIN[TAB] = 1;

/** Characters before the "=" of a soft line break (RFC 2045 section 6.7, rule 5). */
const MAX_QUOTED = 75;

/** Upper bound of {@link quotedPrintable}'s output: all escaped, with soft line breaks. */
export const quotedPrintableBound = (octets: number): number => octets * 3 + Math.ceil(octets / 24) * 3 + 8;

/**
 * Quoted-printable of bytes[start, end), line ends CR LF, written to target at offset. Lines are at most 76 long.
 * @returns the offset behind the last octet
 */
export function quotedPrintable(bytes: Buffer, start: number, end: number, target: Buffer, offset: number): number {
  let out = offset;
  let column = 0;
  let index = start;
  while (index < end) {
    const runEnd = Math.min(end, index + MAX_QUOTED - column);
    const runStart = index;
    while (index < runEnd) {
      const byte = bytes[index] as number;
      if (PLAIN[byte] === 0) {
        break;
      }
      target[out++] = byte;
      index++;
    }
    column += index - runStart;
    const lineEnds = index === end || (bytes[index] === CR && bytes[index + 1] === LF && index + 1 < end);
    if (lineEnds) {
      const last = target[out - 1];
      // White space before a line end would be lost on the way (rule 3).
      if (column > 0 && (last === SPACE || last === TAB)) {
        out--;
        if (column + 2 > MAX_QUOTED) {
          out = softBreak(target, out);
        }
        out = escaped(target, out, last);
      }
      if (index < end) {
        target[out++] = CR;
        target[out++] = LF;
        index += 2;
      }
      column = 0;
    } else if (column + 3 > MAX_QUOTED || PLAIN[bytes[index] as number] === 1) {
      out = softBreak(target, out);
      column = 0;
    } else {
      out = escaped(target, out, bytes[index] as number);
      column += 3;
      index++;
    }
  }
  return out;
}

function softBreak(target: Buffer, out: number): number {
  target[out] = EQUALS;
  target[out + 1] = CR;
  target[out + 2] = LF;
  return out + 3;
}

function escaped(target: Buffer, out: number, octet: number): number {
  target[out] = EQUALS;
  target[out + 1] = HEX[octet >> 4] as number;
  target[out + 2] = HEX[octet & 15] as number;
  return out + 3;
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
