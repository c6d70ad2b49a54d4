import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  randomFillSync,
} from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + NONCE_BYTES;

/** What a derived key is for. A value sealed for one purpose cannot be opened for another. */
export type KeyPurpose =
  | 'message-tracking'
  | 'message-unsubscribe'
  | 'token-subject'
  | 'token-signature'
  | 'session'
  | 'credentials'
  | 'erasure';

/** The configured secrets cannot be used; the message says which and what to do. */
export class KeyringError extends Error {}

interface MasterKey {
  kid: string;
  /** First byte of SHA-256(kid): names the key inside compact tokens. */
  kidByte: number;
  /** As OpenSSL holds keys: it need not copy one and find out what it is for every value. */
  derived: Map<KeyPurpose, KeyObject>;
  material: Buffer;
}

/**
 * The installation's secret keys, newest first. New values are made with the first key; every key still opens and
 * verifies, so rotation keeps old links valid. One key per purpose is derived by HKDF-SHA-256 (RFC 5869).
 */
export class Keyring {
  private readonly keys: MasterKey[];

  /** `secrets`: `kid:base64url(32 bytes)[,kid:…]`. Throws KeyringError. */
  constructor(secrets: string) {
    this.keys = secrets.split(',').map((entry) => {
      const [kid, encoded] = entry.trim().split(':');
      const material = Buffer.from(encoded ?? '', 'base64url');
      if (!kid || material.length !== 32) {
        throw new KeyringError('SALLY_SECRETS must be "kid:base64url(32 random bytes)", several separated by commas');
      }
      return { kid, kidByte: sha256(kid).readUInt8(0), material, derived: new Map() };
    });
    if (new Set(this.keys.map((key) => key.kidByte)).size !== this.keys.length) {
      throw new KeyringError('SALLY_SECRETS: two key ids cannot be told apart in tokens; give the newer another id');
    }
  }

  /** Key id and derived key that new values of `purpose` are made with. */
  current(purpose: KeyPurpose): { kid: string; key: KeyObject } {
    const [first] = this.keys;
    if (!first) throw new KeyringError('SALLY_SECRETS is empty');
    return { kid: first.kid, key: this.derive(first, purpose) };
  }

  /** Derived key of a known key id, or null. */
  find(purpose: KeyPurpose, kid: string): KeyObject | null {
    const master = this.keys.find((key) => key.kid === kid);
    return master ? this.derive(master, purpose) : null;
  }

  /** AES-256-GCM: kid byte, 12-byte random nonce, ciphertext, 16-byte tag. */
  seal(purpose: KeyPurpose, plaintext: Buffer): Buffer {
    const [master] = this.keys;
    if (!master) throw new KeyringError('SALLY_SECRETS is empty');
    const nonce = randomNonce();
    const cipher = createCipheriv('aes-256-gcm', this.derive(master, purpose), nonce);
    // Two tokens a message are sealed while mail goes out: one allocation for the result, none for the rest.
    const sealed = Buffer.allocUnsafe(HEADER_BYTES + plaintext.length + TAG_BYTES);
    sealed[0] = master.kidByte;
    nonce.copy(sealed, 1);
    sealed.write(cipher.update(plaintext, undefined, 'latin1'), HEADER_BYTES, 'latin1');
    cipher.final('latin1');
    cipher.getAuthTag().copy(sealed, HEADER_BYTES + plaintext.length);
    return sealed;
  }

  /** The plaintext, or null when the value is cut, altered, of another purpose or of an unknown key. */
  open(purpose: KeyPurpose, sealed: Buffer): Buffer | null {
    if (sealed.length < HEADER_BYTES + TAG_BYTES) return null;
    const master = this.keys.find((key) => key.kidByte === sealed.readUInt8(0));
    if (!master) return null;
    const decipher = createDecipheriv('aes-256-gcm', this.derive(master, purpose), sealed.subarray(1, HEADER_BYTES));
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    try {
      const plaintext = decipher.update(sealed.subarray(HEADER_BYTES, sealed.length - TAG_BYTES));
      return Buffer.concat([plaintext, decipher.final()]);
    } catch {
      return null;
    }
  }

  /** Whether a sealed value was made with the current key; others are due for rotation. */
  isCurrent(sealed: Buffer): boolean {
    return sealed.length > 0 && sealed.readUInt8(0) === this.keys[0]?.kidByte;
  }

  private derive(master: MasterKey, purpose: KeyPurpose): KeyObject {
    let key = master.derived.get(purpose);
    if (!key) {
      key = createSecretKey(Buffer.from(hkdfSync('sha256', master.material, '', `sally/${purpose}`, 32)));
      master.derived.set(purpose, key);
    }
    return key;
  }
}

/**
 * Keyed hash of addresses for suppressions and bounces. Its key is its own and is never rotated, since the hash
 * has to be found again after the address was erased (design, section 5).
 */
export class AddressHasher {
  private readonly key: Buffer;

  /** `key`: base64url of 32 bytes. Throws KeyringError. */
  constructor(key: string) {
    this.key = Buffer.from(key, 'base64url');
    if (this.key.length !== 32) throw new KeyringError('SALLY_SUPPRESSION_KEY must be base64url of 32 random bytes');
  }

  /** HMAC-SHA-256 of a normalised address. */
  hash(normalisedAddress: string): Buffer {
    return createHmac('sha256', this.key).update(normalisedAddress).digest();
  }
}

const noncePool = Buffer.alloc(NONCE_BYTES * 512);
let noncePosition = noncePool.length;

/** Random bytes in bulk: a call into the system's generator for every token would cost more than its encryption. */
function randomNonce(): Buffer {
  if (noncePosition === noncePool.length) {
    randomFillSync(noncePool);
    noncePosition = 0;
  }
  const nonce = Buffer.from(noncePool.subarray(noncePosition, noncePosition + NONCE_BYTES));
  noncePosition += NONCE_BYTES;
  return nonce;
}

/** SHA-256 of a text or bytes. */
export function sha256(value: string | Buffer): Buffer {
  return createHash('sha256').update(value).digest();
}

/** `bytes` random bytes as base64url text. */
export function randomToken(bytes = 32): string {
  return randomBytes(bytes).toString('base64url');
}
