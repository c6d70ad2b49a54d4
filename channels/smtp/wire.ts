/**
 * From an RFC 5322 message to what is written after DATA (RFC 5321 sections 4.5.2 and 2.3.8): a dot at the start of a
 * line is doubled, every line ends with CR LF, and no bare CR or LF leaves: such bytes are how mail is smuggled.
 */

const LF = 10;
const CR = 13;
const DOT = 46;

/**
 * True when the content can go out as it is: all line ends are CR LF, the last line is ended, no line starts with a
 * dot. The usual case, so it is one tight loop without allocation.
 */
export function isWireClean(content: Buffer): boolean {
  const length = content.length;
  if (length < 2 || content[length - 1] !== LF || content[0] === DOT) {
    return false;
  }
  let previous = 0;
  for (let index = 0; index < length; index++) {
    const byte = content[index] as number;
    if (byte <= CR) {
      if (byte === LF) {
        if (previous !== CR || content[index + 1] === DOT) {
          return false;
        }
      } else if (byte === CR && content[index + 1] !== LF) {
        return false;
      }
    }
    previous = byte;
  }
  return true;
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
      if (byte === DOT) {
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
