import { randomFillSync } from 'node:crypto';

const POOL = Buffer.alloc(16 * 256);
let position = POOL.length;

/**
 * A UUIDv7 (RFC 9562, section 5.7) for now. Ledger partitions are ranges of it, so ids are minted by us and never
 * taken from outside.
 */
export function uuidv7(now: number = Date.now()): string {
  if (position === POOL.length) {
    randomFillSync(POOL);
    position = 0;
  }
  const bytes = POOL.subarray(position, position + 16);
  position += 16;
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return uuidFromBytes(bytes);
}

/** Canonical text of 16 bytes. */
export function uuidFromBytes(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

/** The 16 bytes of a UUID's text. */
export function uuidToBytes(id: string): Buffer {
  return Buffer.from(id.replaceAll('-', ''), 'hex');
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a text is a UUID in canonical lower case. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}
