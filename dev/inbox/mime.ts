/** One header field: its name as written and its unfolded, undecoded value. */
export interface HeaderField {
  name: string;
  value: string;
}

/** A message as the inbox shows it. */
export interface ParsedMessage {
  /** In the order of the message, RFC 2047 words decoded. */
  headers: HeaderField[];
  text: string | null;
  html: string | null;
  attachments: { fileName: string; contentType: string; size: number }[];
}

/** MIME parts nested deeper than this are ignored (a message can be built to nest without end). */
const MAX_DEPTH = 20;

/** Parses a complete message (RFC 5322, RFC 2045-2047). Never throws: damaged input gives what can be read of it. */
export function parseMessage(raw: Buffer): ParsedMessage {
  const { headers, body } = splitEntity(raw);
  const message: ParsedMessage = {
    headers: headers.map(({ name, value }) => ({ name, value: decodeWords(value) })),
    text: null,
    html: null,
    attachments: [],
  };
  readPart(headers, body, message, 0);
  return message;
}

/** The header fields alone, decoded; cheaper than the whole message. */
export function parseHeaders(raw: Buffer): HeaderField[] {
  return splitEntity(raw).headers.map(({ name, value }) => ({ name, value: decodeWords(value) }));
}

/** First value of a header, by a name in any case. */
export function headerValue(headers: HeaderField[], name: string): string | undefined {
  const wanted = name.toLowerCase();
  return headers.find((field) => field.name.toLowerCase() === wanted)?.value;
}

function splitEntity(entity: Buffer): { headers: HeaderField[]; body: Buffer } {
  // A part without header fields begins with the empty line itself.
  if (entity[0] === 13 && entity[1] === 10) return { headers: [], body: entity.subarray(2) };
  let end = entity.indexOf('\r\n\r\n');
  let separator = 4;
  if (end < 0) {
    end = entity.indexOf('\n\n');
    separator = 2;
  }
  const head = entity.toString('utf8', 0, end < 0 ? entity.length : end);
  const body = end < 0 ? Buffer.alloc(0) : entity.subarray(end + separator);
  const headers: HeaderField[] = [];
  for (const line of head.split(/\r?\n/)) {
    const last = headers[headers.length - 1];
    if (/^[ \t]/.test(line) && last) {
      // RFC 5322 2.2.3: unfolding removes the line break and keeps the white space.
      last.value += line;
      continue;
    }
    const colon = line.indexOf(':');
    if (colon > 0) headers.push({ name: line.slice(0, colon).trim(), value: line.slice(colon + 1).trimStart() });
  }
  return { headers, body };
}

function readPart(headers: HeaderField[], body: Buffer, message: ParsedMessage, depth: number): void {
  const type = parseParameters(headerValue(headers, 'content-type') ?? 'text/plain');
  const boundary = type.parameters.get('boundary');
  if (type.value.startsWith('multipart/') && boundary && depth < MAX_DEPTH) {
    for (const part of splitParts(body, boundary)) {
      const inner = splitEntity(part);
      readPart(inner.headers, inner.body, message, depth + 1);
    }
    return;
  }
  const content = decodeTransfer(body, headerValue(headers, 'content-transfer-encoding') ?? '7bit');
  const disposition = parseParameters(headerValue(headers, 'content-disposition') ?? 'inline');
  const charset = type.parameters.get('charset') ?? 'utf-8';
  if (disposition.value !== 'attachment' && type.value === 'text/plain' && message.text === null) {
    message.text = decodeCharset(content, charset);
  } else if (disposition.value !== 'attachment' && type.value === 'text/html' && message.html === null) {
    message.html = decodeCharset(content, charset);
  } else {
    const fileName = disposition.parameters.get('filename') ?? type.parameters.get('name') ?? 'unnamed';
    message.attachments.push({ fileName: decodeWords(fileName), contentType: type.value, size: content.length });
  }
}

/** The parts between `--boundary` lines (RFC 2046 5.1.1); preamble and epilogue are dropped. */
function splitParts(body: Buffer, boundary: string): Buffer[] {
  const delimiter = Buffer.from(`--${boundary}`);
  const parts: Buffer[] = [];
  let start = -1;
  for (let at = body.indexOf(delimiter); at >= 0; at = body.indexOf(delimiter, at + delimiter.length)) {
    if (at > 0 && body[at - 1] !== 10) continue;
    if (start >= 0) {
      // The line break before a delimiter belongs to the delimiter.
      const end = body[at - 2] === 13 ? at - 2 : at - 1;
      parts.push(body.subarray(start, Math.max(start, end)));
    }
    const after = at + delimiter.length;
    if (body[after] === 45 && body[after + 1] === 45) return parts;
    const line = body.indexOf(10, after);
    if (line < 0) return parts;
    start = line + 1;
  }
  // The closing delimiter is missing: take the rest.
  if (start >= 0) parts.push(body.subarray(start));
  return parts;
}

function parseParameters(header: string): { value: string; parameters: Map<string, string> } {
  const parameters = new Map<string, string>();
  const [value = ''] = header.split(';', 1);
  for (const match of header.matchAll(/;\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))/g)) {
    const [, name = '', quoted, plain = ''] = match;
    parameters.set(name.toLowerCase(), quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1'));
  }
  return { value: value.trim().toLowerCase(), parameters };
}

function decodeTransfer(body: Buffer, encoding: string): Buffer {
  switch (encoding.trim().toLowerCase()) {
    case 'base64':
      return Buffer.from(body.toString('latin1'), 'base64');
    case 'quoted-printable':
      return decodeQuotedPrintable(body);
    default:
      return body;
  }
}

/** RFC 2045 6.7 */
function decodeQuotedPrintable(body: Buffer): Buffer {
  const text = body
    .toString('latin1')
    .replace(/[ \t]+(?=\r?\n)/g, '')
    .replace(/=\r?\n/g, '');
  return Buffer.from(decodeHexEscapes(text), 'latin1');
}

function decodeHexEscapes(text: string): string {
  return text.replace(/=([0-9A-Fa-f]{2})/g, (_match, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Decodes the encoded words of a header (RFC 2047), joining neighbours before their bytes become characters. */
export function decodeWords(value: string): string {
  const joined = value.replace(/(\?=)[ \t\r\n]+(?==\?)/g, '$1');
  // Neighbouring words of one charset may split a character between them.
  return joined.replace(/(?:=\?[^?\s]+\?[bqBQ]\?[^?]*\?=)+/g, (run) => {
    const words = [...run.matchAll(/=\?([^?*\s]+)(?:\*[^?]*)?\?([bqBQ])\?([^?]*)\?=/g)];
    let text = '';
    let pending: Buffer[] = [];
    let charset = '';
    const flush = (): void => {
      if (pending.length > 0) text += decodeCharset(Buffer.concat(pending), charset);
      pending = [];
    };
    for (const [, wordCharset = '', encoding = '', payload = ''] of words) {
      if (wordCharset.toLowerCase() !== charset) flush();
      charset = wordCharset.toLowerCase();
      const isBase64 = encoding.toLowerCase() === 'b';
      const q = (): Buffer => Buffer.from(decodeHexEscapes(payload.replaceAll('_', ' ')), 'latin1');
      pending.push(isBase64 ? Buffer.from(payload, 'base64') : q());
    }
    flush();
    return text;
  });
}

function decodeCharset(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset).decode(bytes);
  } catch {
    // Unknown charset: show what is there.
    return bytes.toString('utf8');
  }
}
