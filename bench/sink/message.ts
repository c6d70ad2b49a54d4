/** What the sink reads from a message: enough to prove that it is a whole, well-formed one. */
export interface ParsedMessage {
  token: string | null;
  headerFields: number;
  /** Leaf parts of a multipart message; 1 for a single part. */
  parts: number;
  wellFormed: boolean;
}

const END_OF_HEADER = Buffer.from('\r\n\r\n');

/**
 * Parses one message: every header field is unfolded and its name checked, the token is X-Sally-Delivery or else the
 * Message-ID, and a multipart body must hold its boundaries and close them.
 * @param message the message with its stuffed dots removed
 */
export function parseMessage(message: Buffer): ParsedMessage {
  const end = message.indexOf(END_OF_HEADER);
  if (end < 0) {
    return { token: null, headerFields: 0, parts: 0, wellFormed: false };
  }
  const header = message.toString('latin1', 0, end + 2);
  let messageId: string | null = null;
  let delivery: string | null = null;
  let contentType = '';
  let fields = 0;
  let wellFormed = true;
  let start = 0;
  while (start < header.length) {
    let stop = header.indexOf('\r\n', start);
    // A line that begins with white space continues the field.
    while (header.charCodeAt(stop + 2) === 32 || header.charCodeAt(stop + 2) === 9) {
      stop = header.indexOf('\r\n', stop + 2);
    }
    const colon = header.indexOf(':', start);
    if (colon < 0 || colon > stop) {
      wellFormed = false;
    } else {
      fields++;
      switch (header.slice(start, colon).toLowerCase()) {
        case 'message-id':
          messageId = copy(header.slice(colon + 1, stop));
          break;
        case 'x-sally-delivery':
          delivery = copy(header.slice(colon + 1, stop));
          break;
        case 'content-type':
          contentType = header.slice(colon + 1, stop);
          break;
      }
    }
    start = stop + 2;
  }
  let parts = 1;
  const boundary = /boundary="?([^";\s]+)/i.exec(contentType)?.[1];
  if (boundary !== undefined) {
    parts = countParts(message, end + 2, Buffer.from(`\r\n--${boundary}`, 'latin1'));
    wellFormed &&= parts > 0;
  }
  return { token: delivery ?? messageId, headerFields: fields, parts, wellFormed };
}

/** A slice would keep the whole header alive for as long as the token is counted. */
function copy(value: string): string {
  return Buffer.from(value.trim().replace(/^<|>$/g, ''), 'latin1').toString('latin1');
}

/** @returns 0 when the last boundary is missing */
function countParts(message: Buffer, from: number, delimiter: Buffer): number {
  let parts = 0;
  for (let at = message.indexOf(delimiter, from); at >= 0; at = message.indexOf(delimiter, at + delimiter.length)) {
    const behind = at + delimiter.length;
    if (message[behind] === 45 && message[behind + 1] === 45) {
      return parts;
    }
    parts++;
  }
  return 0;
}
