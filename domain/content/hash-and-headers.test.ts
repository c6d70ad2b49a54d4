import * as fc from 'fast-check';
import { canonicalHash, canonicalJson } from './canonical-hash';
import { headerSafe, headerTextProblem } from './header-text';

describe('canonicalHash', () => {
  it('is SHA-256 over canonical JSON', () => {
    expect(canonicalJson({ b: [1, null, undefined], a: { d: 'Zoe\u0308', c: undefined } })).toBe(
      '{"a":{"d":"Zoë"},"b":[1,null,null]}',
    );
    expect(canonicalHash({})).toBe('44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a');
  });

  it('does not depend on the order of keys, nor on a way through JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const reversed: unknown = JSON.parse(JSON.stringify(value), (_key, member: unknown) =>
          typeof member === 'object' && member !== null && !Array.isArray(member)
            ? Object.fromEntries(Object.entries(member).reverse())
            : member,
        );
        expect(canonicalHash(reversed)).toBe(canonicalHash(value));
      }),
    );
  });

  it('differs for different content', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        expect(canonicalHash(one) === canonicalHash(other)).toBe(canonicalJson(one) === canonicalJson(other));
      }),
    );
    expect(canonicalHash({ a: '1' })).not.toBe(canonicalHash({ a: 1 }));
    expect(canonicalHash(['ab'])).not.toBe(canonicalHash(['a', 'b']));
  });

  it('refuses what JSON does not have', () => {
    expect(() => canonicalHash({ a: Number.NaN })).toThrow(TypeError);
    expect(() => canonicalHash(() => 1)).toThrow(TypeError);
  });
});

describe('header texts', () => {
  it.each(['Hello', 'Grüße 🎉 مريم', ''])('accepts %j', (text) => expect(headerTextProblem(text)).toBeNull());

  it.each(['a\r\nBcc: eve@example.org', 'a\nb', 'a\rb', 'a\0b', 'a\u2028b', 'a\u0085b', 'a\ud800', 'ä'.repeat(500)])(
    'refuses %j',
    (text) => expect(headerTextProblem(text)).not.toBeNull(),
  );

  it('are made safe when rendered', () => {
    expect(headerSafe(' Hi Ada\r\nBcc: eve@example.org\t! ')).toBe('Hi Ada Bcc: eve@example.org !');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(headerTextProblem(headerSafe(text).slice(0, 200))).toBe(null);
      }),
    );
  });
});
