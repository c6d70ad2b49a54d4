/** What the sink reads from a message: enough to prove that it is a whole, well-formed one. */
export interface ParsedMessage {
  token: string | null;
  headerFields: number;
  /** Leaf parts of a multipart message; 1 for a single part. */
  parts: number;
  wellFormed: boolean;
}

/**
 * Parses one message: every header field is unfolded and its name checked, the token is X-Sally-Delivery or else the
 * Message-ID, and a multipart body must hold its boundaries and close them.
 * @param message the message as latin1, dots already removed
 */
export function parseMessage(message: string): ParsedMessage {
  const end = message.indexOf('\r\n\r\n');
  if (end < 0) {
    return { token: null, headerFields: 0, parts: 0, wellFormed: false };
  }
  let messageId: string | null = null;
  let delivery: string | null = null;
  let contentType = '';
  let fields = 0;
  let wellFormed = true;
  let start = 0;
  while (start < end) {
    let stop = message.indexOf('\r\n', start);
    // A line that begins with white space continues the field.
    while (stop < end && (message.charCodeAt(stop + 2) === 32 || message.charCodeAt(stop + 2) === 9)) {
      stop = message.indexOf('\r\n', stop + 2);
    }
    const colon = message.indexOf(':', start);
    if (colon < 0 || colon > stop) {
      wellFormed = false;
    } else {
      fields++;
      switch (message.slice(start, colon).toLowerCase()) {
        case 'message-id':
          messageId = message.slice(colon + 1, stop).trim();
          break;
        case 'x-sally-delivery':
          delivery = message.slice(colon + 1, stop).trim();
          break;
        case 'content-type':
          contentType = message.slice(colon + 1, stop);
          break;
      }
    }
    start = stop + 2;
  }
  let parts = 1;
  const boundary = /boundary="?([^";\s]+)/i.exec(contentType)?.[1];
  if (boundary !== undefined) {
    parts = countParts(message, end + 2, `\r\n--${boundary}`);
    wellFormed &&= parts > 0;
  }
  return { token: delivery ?? messageId, headerFields: fields, parts, wellFormed };
}

/** @returns 0 when the last boundary is missing */
function countParts(message: string, from: number, delimiter: string): number {
  let parts = 0;
  for (let at = message.indexOf(delimiter, from); at >= 0; at = message.indexOf(delimiter, at + delimiter.length)) {
    const behind = at + delimiter.length;
    if (message.charCodeAt(behind) === 45 && message.charCodeAt(behind + 1) === 45) {
      return parts;
    }
    parts++;
  }
  return 0;
}
