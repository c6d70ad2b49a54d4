/** A small strict MIME parser for tests: complains about everything that must not be in a message. */

export interface ParsedPart {
  type: string;
  parameters: Record<string, string>;
  encoding: string;
  /** Decoded from its transfer encoding and UTF-8; line ends as they came. */
  text: string;
}

export interface ParsedMail {
  /** Unfolded values by lower-case name, in order of appearance. */
  fields: Map<string, string[]>;
  parts: ParsedPart[];
}

/** @throws Error on bare CR or LF, NUL, lines over 998 octets, malformed fields and broken multiparts */
export function parseMail(content: Buffer): ParsedMail {
  const raw = content.toString('latin1');
  if (/\r(?!\n)|(?<!\r)\n|\0/.test(raw)) {
    throw new Error('bare CR, bare LF or NUL');
  }
  for (const line of raw.split('\r\n')) {
    if (line.length > 998) {
      throw new Error(`a line of ${line.length} octets`);
    }
  }
  const [header, body] = splitHeader(raw);
  const fields = parseFields(header);
  return { fields, parts: parseEntity(fields, body) };
}

/** The only value of a field. */
export function field(mail: ParsedMail, name: string): string {
  const values = mail.fields.get(name.toLowerCase()) ?? [];
  if (values.length !== 1) {
    throw new Error(`${values.length} fields ${name}`);
  }
  return values[0] ?? '';
}

function splitHeader(raw: string): [string, string] {
  const end = raw.indexOf('\r\n\r\n');
  if (end < 0) {
    throw new Error('no end of header');
  }
  return [raw.slice(0, end + 2), raw.slice(end + 4)];
}

function parseFields(header: string): Map<string, string[]> {
  const fields = new Map<string, string[]>();
  const lines = header.split('\r\n');
  if (lines.pop() !== '') {
    throw new Error('the header does not end with CR LF');
  }
  let name = '';
  for (const line of lines) {
    if (/^[ \t]/.test(line)) {
      if (line.trim() === '' || name === '') {
        throw new Error('a folded line without content');
      }
      const values = fields.get(name) ?? [];
      values.push(`${values.pop() ?? ''}${line}`);
    } else {
      const match = /^([!-9;-~]+):(.*)$/s.exec(line);
      if (match === null) {
        throw new Error(`no header field: ${JSON.stringify(line)}`);
      }
      name = (match[1] ?? '').toLowerCase();
      fields.set(name, [...(fields.get(name) ?? []), match[2] ?? '']);
    }
  }
  for (const [key, values] of fields) {
    fields.set(
      key,
      values.map((value) => value.replace(/^ /, '')),
    );
  }
  return fields;
}

function parseEntity(fields: Map<string, string[]>, body: string): ParsedPart[] {
  const [type = 'text/plain', ...rest] = (fields.get('content-type')?.[0] ?? 'text/plain').split(/;\s*/);
  const parameters = Object.fromEntries(
    rest.map((parameter) => {
      const [key = '', value = ''] = parameter.split(/=(.*)/s);
      return [key.toLowerCase(), value.replace(/^"(.*)"$/, '$1')];
    }),
  );
  if (type.startsWith('multipart/')) {
    return splitParts(body, parameters.boundary ?? '').flatMap((part) => {
      const [header, inner] = splitHeader(part);
      return parseEntity(parseFields(header), inner);
    });
  }
  const encoding = (fields.get('content-transfer-encoding')?.[0] ?? '7bit').toLowerCase();
  return [{ type, parameters, encoding, text: decodeBody(body, encoding) }];
}

function splitParts(body: string, boundary: string): string[] {
  const pieces = `\r\n${body}`.split(`\r\n--${boundary}`);
  if (boundary === '' || pieces.length < 3 || !(pieces.at(-1) ?? '').startsWith('--')) {
    throw new Error('broken multipart');
  }
  return pieces.slice(1, -1).map((piece) => {
    if (!piece.startsWith('\r\n')) {
      throw new Error('text behind a boundary');
    }
    return piece.slice(2);
  });
}

function decodeBody(body: string, encoding: string): string {
  switch (encoding) {
    case '7bit':
      // biome-ignore lint/suspicious/noControlCharactersInRegex: octets above 127 are what is looked for
      if (/[^\u0000-\u007f]/.test(body)) {
        throw new Error('octets above 127 in a 7bit body');
      }
      return body;
    case '8bit':
      return utf8(body);
    case 'base64': {
      if (body.split('\r\n').some((line) => line.length > 76 || !/^[A-Za-z0-9+/=]*$/.test(line))) {
        throw new Error('bad base64');
      }
      return Buffer.from(body, 'base64').toString('utf8');
    }
    case 'quoted-printable': {
      if (body.split('\r\n').some((line) => line.length > 76 || /[ \t]$|[^ -~\t]|=(?![0-9A-F]{2}|$)/.test(line))) {
        throw new Error('bad quoted-printable');
      }
      const joined = body.replace(/=\r\n/g, '');
      return utf8(joined.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))));
    }
    default:
      throw new Error(`unknown transfer encoding ${encoding}`);
  }
}

const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8');

/** Decodes the encoded words of an unfolded value (RFC 2047); white space between two of them is dropped. */
export function decodeWords(value: string): string {
  const words = value.match(/=\?[^?]*\?[^?]*\?[^?]*\?=/g) ?? [];
  if (words.some((word) => word.length > 75)) {
    throw new Error('an encoded word over 75 characters');
  }
  const octets = value
    .replace(/(=\?[^?]+\?[QB]\?[^?]*\?=)\s+(?==\?)/gi, '$1')
    .replace(/=\?UTF-8\?([QB])\?([^?]*)\?=/gi, (_, encoding: string, text: string) =>
      encoding.toUpperCase() === 'B'
        ? Buffer.from(text, 'base64').toString('latin1')
        : text
            .replace(/_/g, ' ')
            .replace(/=([0-9A-F]{2})/gi, (_match, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    );
  return utf8(octets);
}

/** Splits "Name <address>" or a bare address; decodes the name. */
export function parseMailbox(value: string): { name: string; address: string } {
  const match = /^(.*?)\s*<([^<>]*)>$/s.exec(value.trim());
  if (match === null) {
    return { name: '', address: utf8(value.trim()) };
  }
  const phrase = match[1] ?? '';
  const quoted = /^"((?:[^"\\]|\\.)*)"$/s.exec(phrase);
  const name = quoted === null ? decodeWords(phrase) : (quoted[1] ?? '').replace(/\\(.)/g, '$1');
  return { name, address: utf8(match[2] ?? '') };
}
