import type { IncomingMessage } from 'node:http';

/** A one-click POST has some 30 bytes, its multipart form some 200. */
const MAX_BYTES = 16 * 1024;
const MAX_FIELDS = 20;

/**
 * The fields of a small form, urlencoded or multipart/form-data (RFC 7578); RFC 8058, section 3.1 allows both. Null:
 * larger than any such form, or not one.
 */
export async function readSmallForm(request: IncomingMessage): Promise<Map<string, string> | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk as Uint8Array);
    size += bytes.length;
    if (size > MAX_BYTES) return null;
    chunks.push(bytes);
  }
  return parseSmallForm(request.headers['content-type'] ?? '', Buffer.concat(chunks).toString('utf8'));
}

/** The parsing of `readSmallForm`; an empty body has no fields, whatever its type. */
export function parseSmallForm(contentType: string, body: string): Map<string, string> | null {
  if (body === '') return new Map();
  if (/^multipart\/form-data\b/i.test(contentType)) return parseMultipart(contentType, body);
  if (!/^application\/x-www-form-urlencoded\b/i.test(contentType)) return null;
  const fields = [...new URLSearchParams(body)];
  return fields.length <= MAX_FIELDS ? new Map(fields) : null;
}

function parseMultipart(contentType: string, body: string): Map<string, string> | null {
  const boundary = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
  const delimiter = boundary?.[1] ?? boundary?.[2];
  if (!delimiter) return null;
  const parts = `\r\n${body}`.split(`\r\n--${delimiter}`);
  if (parts.length < 2 || parts.length > MAX_FIELDS + 2) return null;
  const fields = new Map<string, string>();
  for (const part of parts.slice(1)) {
    if (part.startsWith('--')) return fields;
    const end = part.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const name = /^content-disposition:\s*form-data\s*;(?:.*;)?\s*name=(?:"([^"]*)"|([^\s;"]+))/im.exec(
      part.slice(0, end),
    );
    if (name) fields.set(name[1] ?? name[2] ?? '', part.slice(end + 4));
  }
  // Without the closing delimiter the body was cut.
  return null;
}
