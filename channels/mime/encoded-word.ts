/** RFC 2047: non-ASCII text in header fields, as UTF-8. */

/** An encoded word, and a line that holds one, end here (RFC 2047 section 2). */
const MAX_LINE = 76;
const OVERHEAD = '=?UTF-8?Q??='.length;
const MAX_WORD = 75;

/** Octets that stand for themselves in Q encoding wherever a word may occur (RFC 2047 section 5, rule 3). */
const Q_SAFE = new Set(Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/'));
const SPACE = 32;

/**
 * Encodes a whole text as one or more encoded words, folded with CR LF SPACE; decoders drop the folds, so spaces are
 * kept exactly. Q or B, whichever is shorter; no code point is split. Lone surrogates become U+FFFD.
 * @param used characters already on the first line, e.g. "Subject: ".length
 */
export function encodeWords(text: string, used: number): string {
  const octets = Buffer.from(text, 'utf8');
  const useQ = lengthInQ(octets) <= Math.ceil(octets.length / 3) * 4;
  const words: string[] = [];
  let chunk = '';
  let size = 0;
  let room = Math.max(20, Math.min(MAX_WORD, MAX_LINE - used) - OVERHEAD);
  const close = (): void => {
    words.push(useQ ? `=?UTF-8?Q?${chunk}?=` : `=?UTF-8?B?${Buffer.from(chunk, 'utf8').toString('base64')}?=`);
    chunk = '';
    size = 0;
    room = MAX_WORD - OVERHEAD;
  };
  for (const character of octets.toString('utf8')) {
    if (useQ) {
      const encoded = inQ(character);
      if (chunk.length + encoded.length > room) {
        close();
      }
      chunk += encoded;
    } else {
      const length = Buffer.byteLength(character, 'utf8');
      if (Math.ceil((size + length) / 3) * 4 > room) {
        close();
      }
      chunk += character;
      size += length;
    }
  }
  close();
  return words.join('\r\n ');
}

function lengthInQ(octets: Buffer): number {
  let length = 0;
  for (const octet of octets) {
    length += octet === SPACE || Q_SAFE.has(octet) ? 1 : 3;
  }
  return length;
}

function inQ(character: string): string {
  let encoded = '';
  for (const octet of Buffer.from(character, 'utf8')) {
    if (octet === SPACE) {
      encoded += '_';
    } else if (Q_SAFE.has(octet)) {
      encoded += String.fromCharCode(octet);
    } else {
      encoded += `=${octet.toString(16).toUpperCase().padStart(2, '0')}`;
    }
  }
  return encoded;
}
