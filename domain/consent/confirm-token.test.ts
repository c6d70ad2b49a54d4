import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import jwt from 'jsonwebtoken';
import { Keyring } from '../../platform/crypto';
import { uuidToBytes } from '../../platform/ids';
import { openOptInToken, optInUrl, signOptInToken } from './confirm-token';

const key = () => randomBytes(32).toString('base64url');
const first = `a:${key()}`;
const keyring = new Keyring(first);
const NOW = new Date('2026-03-01T12:00:00Z');
const LATER = new Date('2026-03-08T12:00:00Z');
const reference = fc.record({ workspaceId: fc.uuid(), requestId: fc.uuid() });
const someReference = {
  workspaceId: '0190a000-0000-7000-8000-000000000001',
  requestId: '0190a000-0000-7000-8000-000000000002',
};

describe('the token of a confirmation link', () => {
  it('opens to what was signed', () => {
    fc.assert(
      fc.property(reference, (ids) => {
        expect(openOptInToken(keyring, signOptInToken(keyring, ids, LATER), NOW)).toEqual({ ...ids, expired: false });
      }),
    );
  });

  it('shows nothing but purpose, expiry and ciphertext', () => {
    fc.assert(
      fc.property(reference, (ids) => {
        const token = signOptInToken(keyring, ids, LATER);
        const [header = '', payload = ''] = token
          .split('.')
          .map((part) => Buffer.from(part, 'base64url').toString('utf8'));
        expect(Object.keys(JSON.parse(header)).sort()).toEqual(['alg', 'kid', 'typ']);
        expect(Object.keys(JSON.parse(payload)).sort()).toEqual(['exp', 'purpose', 'sub']);
        const everything = Buffer.concat([
          Buffer.from(token),
          ...token.split('.').map((part) => Buffer.from(part, 'base64url')),
          Buffer.from(JSON.parse(payload).sub, 'base64url'),
        ]);
        for (const id of [ids.workspaceId, ids.requestId]) {
          expect(everything.includes(id)).toBe(false);
          expect(everything.includes(uuidToBytes(id))).toBe(false);
        }
      }),
    );
  });

  it('two links of one request differ', () => {
    expect(signOptInToken(keyring, someReference, LATER)).not.toBe(signOptInToken(keyring, someReference, LATER));
  });

  it('is refused when cut, lengthened or altered anywhere', () => {
    const token = signOptInToken(keyring, someReference, LATER);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...alphabet), (index, letter) => {
        fc.pre(token[index] !== letter);
        expect(openOptInToken(keyring, token.slice(0, index) + letter + token.slice(index + 1), NOW)).toBeNull();
        expect(openOptInToken(keyring, token.slice(0, index), NOW)).toBeNull();
        expect(openOptInToken(keyring, token + letter, NOW)).toBeNull();
      }),
    );
  });

  it('never throws on anything else', () => {
    fc.assert(fc.property(fc.string({ maxLength: 700 }), (text) => openOptInToken(keyring, text, NOW) === null));
  });

  it('is refused with another purpose, another algorithm or another key, though signed', () => {
    const { kid, key: signature } = keyring.current('token-signature');
    const ids = Buffer.concat([uuidToBytes(someReference.workspaceId), uuidToBytes(someReference.requestId)]);
    const sub = keyring.seal('token-subject', ids).toString('base64url');
    const sign = (payload: object, options: jwt.SignOptions = {}) =>
      jwt.sign(payload, signature, { algorithm: 'HS256', keyid: kid, noTimestamp: true, ...options });
    const exp = LATER.getTime() / 1_000;
    expect(openOptInToken(keyring, sign({ purpose: 'opt-in-confirm', exp, sub }), NOW)).not.toBeNull();
    expect(openOptInToken(keyring, sign({ purpose: 'preferences', exp, sub }), NOW)).toBeNull();
    expect(
      openOptInToken(keyring, sign({ purpose: 'opt-in-confirm', exp, sub }, { algorithm: 'HS512' }), NOW),
    ).toBeNull();
    expect(openOptInToken(keyring, sign({ purpose: 'opt-in-confirm', sub }), NOW)).toBeNull();
    const otherSub = keyring.seal('message-unsubscribe', ids).toString('base64url');
    expect(openOptInToken(keyring, sign({ purpose: 'opt-in-confirm', exp, sub: otherSub }), NOW)).toBeNull();
    expect(openOptInToken(new Keyring(`b:${key()}`), signOptInToken(keyring, someReference, LATER), NOW)).toBeNull();
    const none = jwt.sign({ purpose: 'opt-in-confirm', exp, sub }, '', { algorithm: 'none', keyid: kid });
    expect(openOptInToken(keyring, none, NOW)).toBeNull();
  });

  it('still opens after the keys were rotated, and says when its time is over', () => {
    const token = signOptInToken(keyring, someReference, NOW);
    const rotated = new Keyring(`b:${key()},${first}`);
    expect(openOptInToken(rotated, token, NOW)).toEqual({ ...someReference, expired: true });
  });

  it('makes a link below the public URL', () => {
    expect(optInUrl(keyring, 'https://mail.example/', someReference, LATER)).toMatch(
      /^https:\/\/mail\.example\/confirm\/[\w-]+\.[\w-]+\.[\w-]+$/,
    );
  });
});
