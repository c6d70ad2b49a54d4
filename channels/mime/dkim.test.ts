import { generateKeyPairSync, type KeyPairKeyObjectResult } from 'node:crypto';
import fc from 'fast-check';
import DKIM from 'nodemailer/lib/dkim';
import { verifyDkim } from '../../test/support/dkim-verifier';
import { parseMail } from '../../test/support/mime-parser';
import { createComposer, createDkimSigner, MimeError } from './index';

const asPem = ({ publicKey, privateKey }: KeyPairKeyObjectResult) => ({
  publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
});
const rsaPair = (modulusLength: number) => asPem(generateKeyPairSync('rsa', { modulusLength }));
const rsa = rsaPair(2048);
const edwards = asPem(generateKeyPairSync('ed25519'));
const IDENTITY = { domain: 'sender.example', selector: 's1' };

const signRsa = createDkimSigner({ ...IDENTITY, privateKey: rsa.privateKey }, () => 1_795_000_000_000);
const signEdwards = createDkimSigner({ ...IDENTITY, privateKey: edwards.privateKey });

const compose = createComposer({
  from: { name: 'Sälly', address: 'news@sender.example' },
  replyTo: { name: '', address: 'help@sender.example' },
  listId: 'news.sender.example',
  feedbackId: 'a:b:c:d',
  autoSubmitted: true,
  extra: { 'X-Campaign': 'spring' },
});

const message = (subject = 'Hello', text = 'Hello  \n\n there\t\n\n\n', name = 'Ada'): Buffer =>
  compose({
    to: { name, address: 'ada@recipient.example' },
    subject,
    text,
    html: `<p>  ${text}</p>`,
    messageId: '1.2@sender.example',
    date: new Date('2026-11-23T18:00:00Z'),
    unsubscribeUrl: 'https://sally.example/u/1',
    encoding: '7bit',
  }).content;

test('RSA: a verifier accepts it, all our fields are signed and From is oversigned', async () => {
  const signed = await signRsa(message());
  const verdict = verifyDkim(signed, rsa.publicKey);
  expect(verdict).toMatchObject({ valid: true, reason: '' });
  expect(verdict.tags).toMatchObject({ a: 'rsa-sha256', d: 'sender.example', s: 's1', t: '1795000000' });
  expect(verdict.tags.h?.split(':')).toEqual([
    'from',
    'from',
    'to',
    'reply-to',
    'subject',
    'date',
    'message-id',
    'mime-version',
    'content-type',
    'list-id',
    'list-unsubscribe',
    'list-unsubscribe-post',
    'feedback-id',
    'auto-submitted',
  ]);
  expect(signed.subarray(signed.length - message().length).toString()).toContain('To: Ada');
  expect(
    Math.max(
      ...signed
        .toString('latin1')
        .split('\r\n')
        .slice(0, 12)
        .map((line) => line.length),
    ),
  ).toBeLessThanOrEqual(78);
});

test('Ed25519', async () => {
  const signed = await signEdwards(message());
  expect(verifyDkim(signed, edwards.publicKey)).toMatchObject({ valid: true, tags: { a: 'ed25519-sha256' } });
  expect(verifyDkim(signed, asPem(generateKeyPairSync('ed25519')).publicKey)).toMatchObject({ valid: false });
});

test('whatever the message: the signature holds, the message stays well-formed, 7-bit and unchanged', async () => {
  const nasty = fc
    .array(fc.constantFrom(' ', '\t', '\r\n', '\n', 'a', 'ä', '.', '=', '  x  ', '👋', '\u00a0', '\f'), {
      maxLength: 50,
    })
    .map((parts) => parts.join(''));
  await fc.assert(
    fc.asyncProperty(nasty, nasty, nasty, async (subject, text, name) => {
      const content = message(subject, text, name);
      const signed = await signEdwards(content);
      expect(verifyDkim(signed, edwards.publicKey)).toMatchObject({ valid: true });
      expect(signed.subarray(signed.length - content.length).equals(content)).toBe(true);
      expect(signed.some((octet) => octet > 127)).toBe(false);
      expect(parseMail(signed).parts).toHaveLength(2);
    }),
    { numRuns: 300 },
  );
});

test.each([
  ['the subject', 'Subject: Hello', 'Subject: Hallo'],
  ['the unsubscribe URL', 'https://sally.example/u/1', 'https://evil.example/u/1'],
  ['one-click', 'List-Unsubscribe=One-Click', 'List-Unsubscribe=Two-Click'],
  ['a word of the body', 'there', 'where'],
  ['a second From', 'MIME-Version: 1.0', 'MIME-Version: 1.0\r\nFrom: ceo@sender.example'],
])('changing %s breaks it', async (_name, from, to) => {
  const signed = (await signRsa(message())).toString('latin1');
  expect(signed).toContain(from);
  expect(verifyDkim(Buffer.from(signed.replace(from, to), 'latin1'), rsa.publicKey).valid).toBe(false);
});

test('changes a relay may make do not: folding, white space, the case of field names', async () => {
  const signed = (await signRsa(message())).toString('latin1');
  const relayed = `Received: by relay\r\n${signed}`
    .replace('Subject: Hello', 'subject:   Hello \t')
    .replace('Hello  \r\n', 'Hello\r\n');
  expect(verifyDkim(Buffer.from(relayed, 'latin1'), rsa.publicKey)).toMatchObject({ valid: true });
  expect(relayed.replace('subject:   Hello', 'Subject: Hello')).not.toBe(signed);
});

test('nodemailer, signing the same message, gets the same body hash, and the verifier accepts both', async () => {
  for (const content of [message(), message('Grüße', 'viele \t Leerzeichen  \n\n\n'), message('x', '')]) {
    const theirs = await reference(content);
    const ours = await signRsa(content);
    const [a, b] = [verifyDkim(ours, rsa.publicKey), verifyDkim(theirs, rsa.publicKey)];
    expect([a.valid, b.valid]).toEqual([true, true]);
    expect(a.tags.bh).toBe(b.tags.bh);
  }
});

/** The message signed by nodemailer. */
async function reference(content: Buffer): Promise<Buffer> {
  const signer = new DKIM({ domainName: IDENTITY.domain, keySelector: IDENTITY.selector, privateKey: rsa.privateKey });
  const chunks: Buffer[] = [];
  for await (const chunk of signer.sign(content)) {
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

test('a body of nothing but empty lines', async () => {
  const signed = await signRsa(Buffer.from('From: a@sender.example\r\n\r\n\r\n \r\n\r\n'));
  expect(verifyDkim(signed, rsa.publicKey)).toMatchObject({ valid: true, tags: { h: 'from:from' } });
  // RFC 6376 section 3.4.4: the hash of nothing.
  expect(verifyDkim(signed, rsa.publicKey).tags.bh).toBe('47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
});

test.each([
  ['a key that is none', { privateKey: 'nonsense' }, 'privateKey'],
  ['a public key', { privateKey: rsa.publicKey }, 'privateKey'],
  [
    'an elliptic curve nobody verifies',
    { privateKey: asPem(generateKeyPairSync('ec', { namedCurve: 'P-256' })).privateKey },
    'privateKey',
  ],
  ['a short key', { privateKey: rsaPair(512).privateKey }, 'privateKey'],
  ['a domain that ends its tag', { domain: 'a.example; x=y' }, 'domain'],
  ['a selector with a line end', { selector: 'a\r\nb' }, 'selector'],
])('refused: %s', (_name, change, at) => {
  expect(() => createDkimSigner({ ...IDENTITY, privateKey: rsa.privateKey, ...change })).toThrow(
    expect.objectContaining({ field: at }),
  );
  expect(() => createDkimSigner({ ...IDENTITY, privateKey: rsa.privateKey, ...change })).toThrow(MimeError);
});
