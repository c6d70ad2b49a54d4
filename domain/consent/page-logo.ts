import { crc32, inflateSync } from 'node:zlib';

/** Of a logo as it is sent and kept: small enough to be read from Postgres for each visitor who has not got it yet. */
export const LOGO_LIMITS = { bytes: 128 * 1024, width: 1_000, height: 500 } as const;

export type ReadLogo = { ok: true; png: Buffer; width: number; height: number } | { ok: false; message: string };

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** What makes the picture (PNG, third edition, section 11); texts, times and EXIF say who made it where, and go. */
const KEPT = new Set(['IHDR', 'PLTE', 'tRNS', 'gAMA', 'cHRM', 'sRGB', 'pHYs', 'IDAT', 'IEND']);
const CRITICAL = /^[A-Z]/;
/** Most bytes of a pixel: four channels of 16 bits. */
const PIXEL_BYTES = 8;

interface Chunk {
  type: string;
  data: Buffer;
  /** With length and checksum. */
  whole: Buffer;
}

/**
 * Reads a logo: one still PNG whose parts are whole, within LOGO_LIMITS, with nothing after its end. The result holds
 * only what makes the picture. PNG alone, since an SVG is a document, and a GIF may move (WCAG 2.2.2).
 */
export function readLogo(file: Buffer): ReadLogo {
  const problem = (message: string): ReadLogo => ({ ok: false, message });
  if (file.length > LOGO_LIMITS.bytes) return problem(`must have at most ${LOGO_LIMITS.bytes} bytes`);
  if (!file.subarray(0, SIGNATURE.length).equals(SIGNATURE)) return problem('must be a PNG image');
  const chunks = readChunks(file);
  const [header] = chunks ?? [];
  if (!chunks || header?.type !== 'IHDR' || header.data.length !== 13) return problem('is a damaged PNG image');
  if (chunks.some(({ type }) => type === 'acTL')) return problem('must not be animated');
  if (chunks.some(({ type }) => CRITICAL.test(type) && !KEPT.has(type)))
    return problem('is a PNG image of no known kind');
  const [width, height] = [header.data.readUInt32BE(0), header.data.readUInt32BE(4)];
  if (width < 1 || height < 1 || width > LOGO_LIMITS.width || height > LOGO_LIMITS.height) {
    return problem(`must be at most ${LOGO_LIMITS.width} pixels wide and ${LOGO_LIMITS.height} high`);
  }
  const pixels = Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data));
  if (!unpacks(pixels, (width * PIXEL_BYTES + 8) * height)) return problem('is a damaged PNG image');
  const kept = chunks.filter(({ type }) => KEPT.has(type)).map(({ whole }) => whole);
  return { ok: true, png: Buffer.concat([SIGNATURE, ...kept]), width, height };
}

/** All chunks up to IEND, which ends the file; null where something is cut off, altered or appended. */
function readChunks(file: Buffer): Chunk[] | null {
  const chunks: Chunk[] = [];
  let at = SIGNATURE.length;
  while (at + 12 <= file.length) {
    const end = at + 12 + file.readUInt32BE(at);
    if (end > file.length) return null;
    const whole = file.subarray(at, end);
    const type = whole.toString('latin1', 4, 8);
    if (crc32(whole.subarray(4, -4)) !== whole.readUInt32BE(whole.length - 4)) return null;
    chunks.push({ type, data: whole.subarray(8, -4), whole });
    if (type === 'IEND') return end === file.length ? chunks : null;
    at = end;
  }
  return null;
}

function unpacks(data: Buffer, most: number): boolean {
  try {
    return inflateSync(data, { maxOutputLength: most }).length > 0;
  } catch {
    return false;
  }
}
