import { domainToUnicode } from 'node:url';
import { z } from 'zod';
import type { Keyring } from '../../platform/crypto';

/** What stands in an erased contact's row instead of its address: unique, and never deliverable (RFC 2606). */
export function tombstoneAddress(contactId: string): string {
  return `${contactId}@erased.invalid`;
}

/** The spellings of a normalised address that texts may hold, in lower case. */
export function addressSpellings(address: string): string[] {
  const at = address.lastIndexOf('@');
  const unicode = `${address.slice(0, at + 1)}${domainToUnicode(address.slice(at + 1))}`;
  return [
    ...new Set([address, unicode].flatMap((form) => [form, form.normalize('NFD')]).map((form) => form.toLowerCase())),
  ];
}

/** Bytes of a file as text with one character per byte, ASCII letters in lower case. */
function comparable(bytes: Buffer): string {
  return bytes.toString('latin1').toLowerCase();
}

/**
 * Looks for addresses in a file that comes piece by piece: in UTF-8 and UTF-16, in any letter case, also across two
 * pieces.
 */
export class AddressSearch {
  private readonly forms: string[];
  private readonly overlap: number;
  private rest = '';

  constructor(addresses: readonly string[]) {
    this.forms = addresses.flatMap(addressSpellings).flatMap((spelling) => {
      const wide = Buffer.from(spelling, 'utf16le');
      return [Buffer.from(spelling, 'utf8'), wide, Buffer.from(wide).swap16()].map(comparable);
    });
    this.overlap = Math.max(1, ...this.forms.map((form) => form.length)) - 1;
  }

  /** Whether the pieces so far hold one of the addresses. */
  feed(piece: Buffer): boolean {
    const text = this.rest + comparable(piece);
    this.rest = this.overlap === 0 ? '' : text.slice(-this.overlap);
    return this.forms.some((form) => text.includes(form));
  }
}

/** Addresses for a job's row, which nobody can read there. */
export function sealAddresses(keyring: Keyring, addresses: readonly string[]): Buffer {
  return keyring.seal('erasure', Buffer.from(JSON.stringify(addresses), 'utf8'));
}

/** What `sealAddresses` sealed. Throws where the key is gone. */
export function readSealedAddresses(keyring: Keyring, sealed: Buffer): string[] {
  const opened = keyring.open('erasure', sealed);
  if (opened === null)
    throw new Error('the addresses to erase cannot be opened: their key is missing in SALLY_SECRETS');
  return z.array(z.string()).parse(JSON.parse(opened.toString('utf8')));
}
