import { createHash, createPublicKey, verify } from 'node:crypto';

export interface DkimVerdict {
  valid: boolean;
  /** Why not; empty when valid. */
  reason: string;
  tags: Record<string, string>;
}

/**
 * Verifies the topmost DKIM-Signature of a message, written from RFC 6376 and RFC 8463 for relaxed/relaxed and
 * independent of the signer: by regular expressions on text, as the RFC words its rules.
 * @param publicKey PEM
 */
export function verifyDkim(message: Buffer, publicKey: string): DkimVerdict {
  const raw = message.toString('latin1');
  const split = raw.indexOf('\r\n\r\n');
  const fields = raw.slice(0, split).split(/\r\n(?![ \t])/);
  const body = raw.slice(split + 4);
  const own = fields.findIndex((line) => /^dkim-signature:/i.test(line));
  const tags = parseTags(fields[own] ?? '');
  const fail = (reason: string): DkimVerdict => ({ valid: false, reason, tags });
  if (own < 0) {
    return fail('no signature');
  }
  if (tags.v !== '1' || tags.c !== 'relaxed/relaxed') {
    return fail('unknown version or canonicalisation');
  }

  // Section 3.4.4.
  const canonicalBody = body
    .replace(/[ \t]+(?=\r\n|$)/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/(\r\n)*$/, '');
  const hashed = canonicalBody === '' ? '' : `${canonicalBody}\r\n`;
  if (createHash('sha256').update(hashed, 'latin1').digest('base64') !== tags.bh) {
    return fail('body hash');
  }

  // Sections 3.4.2, 3.7 and 5.4.2: named fields from the bottom up, a name without a field left counts as nothing.
  const left = fields.filter((_, index) => index !== own);
  let input = '';
  for (const name of (tags.h ?? '').split(':').map((item) => item.trim().toLowerCase())) {
    const at = left.findLastIndex((line) => line.slice(0, line.indexOf(':')).trim().toLowerCase() === name);
    if (at >= 0) {
      input += `${canonicalField(left[at] ?? '')}\r\n`;
      left.splice(at, 1);
    }
  }
  input += canonicalField((fields[own] ?? '').replace(/([;\s]b=)[^;]*/, '$1'));
  const signature = Buffer.from(tags.b ?? '', 'base64');
  const data = Buffer.from(input, 'latin1');
  const key = createPublicKey(publicKey);
  const valid =
    tags.a === 'ed25519-sha256'
      ? verify(null, createHash('sha256').update(data).digest(), key, signature)
      : tags.a === 'rsa-sha256' && verify('sha256', data, key, signature);
  return valid ? { valid, reason: '', tags } : fail('signature');
}

function canonicalField(line: string): string {
  const colon = line.indexOf(':');
  const value = line
    .slice(colon + 1)
    .replace(/\r\n/g, '')
    .replace(/[ \t]+/g, ' ')
    .replace(/^ | $/g, '');
  return `${line.slice(0, colon).trim().toLowerCase()}:${value}`;
}

function parseTags(line: string): Record<string, string> {
  const list = line.slice(line.indexOf(':') + 1).replace(/\s+/g, '');
  return Object.fromEntries(
    list
      .split(';')
      .filter((item) => item !== '')
      .map((item) => [item.slice(0, item.indexOf('=')), item.slice(item.indexOf('=') + 1)]),
  );
}
