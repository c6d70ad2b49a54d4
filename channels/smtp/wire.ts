/**
 * From an RFC 5322 message to what is written after DATA or BDAT (RFC 5321 sections 4.5.2 and 2.3.8): a dot at the start of a
 * line is doubled, every line ends with CR LF, and no bare CR or LF leaves: such bytes are how mail is smuggled.
 */

const LF = 10;
const CR = 13;
const DOT = 46;
const NO_WORDS = new Int32Array(0);

/**
 * True when the content can go out as it is: all line ends are CR LF, the last line is ended, no line starts with a
 * dot. The usual case, so it looks at four octets at a time without allocation and stops only at control characters.
 */
export function isWireClean(content: Buffer): boolean {
  const length = content.length;
  if (length < 2 || content[length - 1] !== LF || content[0] === DOT) {
    return false;
  }
  let index = 0;
  // Words can only be read at multiples of four.
  const head = -content.byteOffset & 3;
  for (; index < head && index < length; index++) {
    if (!cleanAt(content, index)) {
      return false;
    }
  }
  const words = (length - index) >> 2;
  const view = words === 0 ? NO_WORDS : new Int32Array(content.buffer, content.byteOffset + index, words);
  for (let word = 0; word < words; word++) {
    const four = view[word] as number;
    // The classic test for "some octet is below 14": CR and LF are, and nothing else that occurs often.
    if (((four - 0x0e0e0e0e) & ~four & 0x80808080) !== 0) {
      for (let offset = 0; offset < 4; offset++) {
        if (!cleanAt(content, index + offset)) {
          return false;
        }
      }
    }
    index += 4;
  }
  for (; index < length; index++) {
    if (!cleanAt(content, index)) {
      return false;
    }
  }
  return true;
}

/** False for half a line end and for a line end with a dot behind it. */
function cleanAt(content: Buffer, index: number): boolean {
  const byte = content[index];
  if (byte === LF) {
    return content[index - 1] === CR && content[index + 1] !== DOT;
  }
  return byte !== CR || content[index + 1] === LF;
}

/** Upper bound of what {@link writeWire} writes for this content. */
export function wireBound(content: Buffer): number {
  // The worst message is all line feeds (2 octets each) or all ".\n" lines (2 octets become 4).
  return content.length * 2 + 2;
}

/**
 * Copies content to target at offset, dots stuffed and line ends made CR LF (a bare CR or a bare LF becomes CR LF).
 * The last line is ended. The terminating dot is not written.
 * @returns the offset behind the last byte
 */
export function writeWire(content: Buffer, target: Buffer, offset: number): number {
  return writeLines(content, target, offset, true);
}

function writeLines(content: Buffer, target: Buffer, offset: number, stuffDots: boolean): number {
  let out = offset;
  let lineStart = true;
  for (let index = 0; index < content.length; index++) {
    const byte = content[index] as number;
    if (byte === LF || byte === CR) {
      if (byte === CR && content[index + 1] === LF) {
        index++;
      }
      target[out++] = CR;
      target[out++] = LF;
      lineStart = true;
      continue;
    }
    if (lineStart) {
      lineStart = false;
      if (stuffDots && byte === DOT) {
        target[out++] = DOT;
      }
    }
    target[out++] = byte;
  }
  if (!lineStart || content.length === 0) {
    target[out++] = CR;
    target[out++] = LF;
  }
  return out;
}

/** The whole content as it goes over the wire; the very same buffer when there is nothing to do. */
export function toWire(content: Buffer): Buffer {
  if (isWireClean(content)) {
    return content;
  }
  const target = Buffer.allocUnsafe(wireBound(content));
  return target.subarray(0, writeWire(content, target, 0));
}

/**
 * The whole content as it goes behind BDAT: its length is said, so dots mean nothing there, but line ends are CR LF all
 * the same (RFC 3030 section 2; anything else would need BINARYMIME). The very same buffer when there is nothing to do.
 */
export function toChunk(content: Buffer): Buffer {
  if (isWireClean(content)) {
    return content;
  }
  const target = Buffer.allocUnsafe(wireBound(content));
  return target.subarray(0, writeLines(content, target, 0, false));
}
