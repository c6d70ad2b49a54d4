import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Keyring } from '../../platform/crypto';
import { uuidToBytes } from '../../platform/ids';
import { openMessageToken, sealMessageToken } from './message-token';

const key = () => randomBytes(32).toString('base64url');
const first = `a:${key()}`;
const keyring = new Keyring(first);
const reference = fc.record({ sourceId: fc.uuid(), deliveryId: fc.uuid(), messageId: fc.uuid() });
const purpose = fc.constantFrom('message-tracking' as const, 'message-unsubscribe' as const);
const other = { 'message-tracking': 'message-unsubscribe', 'message-unsubscribe': 'message-tracking' } as const;

describe('the token of links in a sent message', () => {
  it('opens to what was sealed, for its purpose only, also after the keys were rotated', () => {
    const rotated = new Keyring(`b:${key()},${first}`);
    fc.assert(
      fc.property(reference, purpose, (ids, use) => {
        const token = sealMessageToken(keyring, use, ids);
        expect(token).toHaveLength(103);
        expect(openMessageToken(keyring, use, token)).toEqual(ids);
        expect(openMessageToken(rotated, use, token)).toEqual(ids);
        expect(openMessageToken(keyring, other[use], token)).toBeNull();
      }),
    );
  });

  it('shows none of the ids', () => {
    fc.assert(
      fc.property(reference, purpose, (ids, use) => {
        const bytes = Buffer.from(sealMessageToken(keyring, use, ids), 'base64url');
        for (const id of Object.values(ids)) expect(bytes.includes(uuidToBytes(id))).toBe(false);
      }),
    );
  });

  it('is refused when cut, lengthened or altered anywhere', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    fc.assert(
      fc.property(reference, purpose, fc.nat(102), fc.constantFrom(...alphabet), (ids, use, index, letter) => {
        const token = sealMessageToken(keyring, use, ids);
        fc.pre(token[index] !== letter);
        for (const bad of [
          token.slice(0, index) + letter + token.slice(index + 1),
          token.slice(0, index),
          token + letter,
        ]) {
          expect(openMessageToken(keyring, use, bad)).toBeNull();
        }
      }),
    );
  });

  it('never throws on anything else', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), purpose, (text, use) => openMessageToken(keyring, use, text) === null),
    );
  });
});
