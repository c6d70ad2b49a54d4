import { createHash, createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { MimeError } from './mime-error';

/** Whose signature it is (RFC 6376 section 3.5): the key's public half is at <selector>._domainkey.<domain>. */
export interface DkimKey {
  domain: string;
  selector: string;
  /** PEM, RSA of at least 1024 bits or Ed25519 (RFC 8463). */
  privateKey: string;
}

/** Adds a DKIM-Signature on top of a message; the message must be 7-bit and its line ends CR LF. */
export type DkimSigner = (content: Buffer) => Promise<Buffer>;

/**
 * What we sign when it is there. List-Unsubscribe and its -Post must be signed for one-click to count (RFC 8058
 * section 4); Feedback-ID for mailbox providers' reports. From is listed once more than it occurs ("oversigned"), so
 * that no second one can be added.
 */
const SIGNED_FIELDS = [
  'from',
  'from',
  'to',
  'reply-to',
  'subject',
  'date',
  'message-id',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'feedback-id',
  'auto-submitted',
] as const;

const CR = 13;
const LF = 10;
const TAB = 9;
const SPACE = 32;
const END_OF_HEADER = Buffer.from('\r\n\r\n');
const NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$/;

/**
 * Prepares a signer: relaxed/relaxed, rsa-sha256 or ed25519-sha256 by the kind of key. The signature is computed in
 * libuv's pool, so signing does not hold up sending.
 * @param now seconds of the t= tag come from it, as milliseconds since 1970
 * @throws MimeError when the key, the domain or the selector is unusable; its text holds nothing of the key
 */
export function createDkimSigner(key: DkimKey, now: () => number = Date.now): DkimSigner {
  if (!NAME.test(key.domain)) {
    throw new MimeError('domain', 'is no domain name in ASCII');
  }
  if (!NAME.test(key.selector)) {
    throw new MimeError('selector', 'is no DKIM selector');
  }
  const privateKey = readKey(key.privateKey);
  const edwards = privateKey.asymmetricKeyType === 'ed25519';
  const tags = `v=1; a=${edwards ? 'ed25519' : 'rsa'}-sha256; c=relaxed/relaxed; d=${key.domain};\r\n s=${key.selector}; `;

  return async (content) => {
    const end = content.indexOf(END_OF_HEADER);
    if (end < 0) {
      throw new MimeError('content', 'has no header');
    }
    const fields = new CanonicalFields(content.toString('latin1', 0, end + 2));
    const names: string[] = [];
    let signed = '';
    for (const name of SIGNED_FIELDS) {
      const field = fields.takeLast(name);
      if (field !== null) {
        signed += `${field}\r\n`;
      }
      if (field !== null || name === 'from') {
        names.push(name);
      }
    }
    const unsigned = `${tags}t=${Math.floor(now() / 1000)};\r\n h=${foldNames(names)};\r\n bh=${bodyHash(content, end + 4)};\r\n b=`;
    signed += `dkim-signature:${relaxed(unsigned)}`;
    const signature = await signText(signed, privateKey, edwards);
    const header = `DKIM-Signature: ${unsigned}${foldSignature(signature)}\r\n`;
    const out = Buffer.allocUnsafe(header.length + content.length);
    content.copy(out, out.write(header, 0, 'latin1'));
    return out;
  };
}

function readKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new MimeError('privateKey', 'is no private key in PEM');
  }
  const rsa = key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 1024;
  if (!rsa && key.asymmetricKeyType !== 'ed25519') {
    throw new MimeError('privateKey', 'must be RSA of at least 1024 bits or Ed25519');
  }
  return key;
}

/** Header fields in relaxed form (RFC 6376 section 3.4.2); of several of one name the last is taken first. */
class CanonicalFields {
  private readonly byName = new Map<string, string[]>();

  /** @param header latin1, every field ended by CR LF */
  constructor(header: string) {
    let start = 0;
    while (start < header.length) {
      let stop = header.indexOf('\r\n', start);
      while (isWhite(header.charCodeAt(stop + 2))) {
        stop = header.indexOf('\r\n', stop + 2);
      }
      const colon = header.indexOf(':', start);
      if (colon > start && colon < stop) {
        const name = header.slice(start, colon).trimEnd().toLowerCase();
        const values = this.byName.get(name);
        const value = header.slice(colon + 1, stop);
        if (values === undefined) {
          this.byName.set(name, [value]);
        } else {
          values.push(value);
        }
      }
      start = stop + 2;
    }
  }

  takeLast(name: string): string | null {
    const value = this.byName.get(name)?.pop();
    return value === undefined ? null : `${name}:${relaxed(value)}`;
  }
}

const isWhite = (code: number): boolean => code === SPACE || code === TAB;

/** White space of any kind becomes one space, none at the ends; only the header's own kinds count. */
function relaxed(value: string): string {
  return value.replace(/[ \t\r\n]+/g, ' ').replace(/^ | $/g, '');
}

let scratch = Buffer.alloc(0);

/** SHA-256 over the body in relaxed form (RFC 6376 section 3.4.4), base64. */
function bodyHash(content: Buffer, start: number): string {
  const end = content.length;
  if (scratch.length < end - start + 2) {
    scratch = Buffer.allocUnsafeSlow((end - start) * 2 + 1024);
  }
  let out = 0;
  let kept = 0;
  let white = false;
  for (let index = start; index < end; index++) {
    const byte = content[index] as number;
    if (byte === SPACE || byte === TAB) {
      white = true;
    } else if (byte === CR && content[index + 1] === LF) {
      // White space at the end of a line is dropped, and so are empty lines at the end of the body.
      white = false;
      scratch[out++] = CR;
      scratch[out++] = LF;
      index++;
    } else {
      if (white) {
        scratch[out++] = SPACE;
        white = false;
      }
      scratch[out++] = byte;
      kept = out;
    }
  }
  if (kept > 0) {
    scratch[kept++] = CR;
    scratch[kept++] = LF;
  }
  return createHash('sha256').update(scratch.subarray(0, kept)).digest('base64');
}

function signText(text: string, key: KeyObject, edwards: boolean): Promise<string> {
  const data = Buffer.from(text, 'latin1');
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, signature: Buffer): void =>
      error === null ? resolve(signature.toString('base64')) : reject(error);
    if (edwards) {
      // RFC 8463 section 3: Ed25519 signs the SHA-256 of what RSA would sign.
      sign(null, createHash('sha256').update(data).digest(), key, done);
    } else {
      sign('sha256', data, key, done);
    }
  });
}

function foldNames(names: string[]): string {
  let out = '';
  let column = 3;
  for (const name of names) {
    if (column + name.length + 1 > 74) {
      out += '\r\n  ';
      column = 2;
    }
    out += out === '' ? name : `:${name}`;
    column += name.length + 1;
  }
  return out;
}

/** White space in b= does not count (RFC 6376 section 3.5). */
function foldSignature(signature: string): string {
  return (signature.match(/.{1,72}/g) ?? []).join('\r\n  ');
}
