import fc from 'fast-check';
import { AddressSearch, addressSpellings, tombstoneAddress } from './erasure';

describe('addressSpellings', () => {
  test('gives the Unicode form of a domain besides the ASCII one', () => {
    expect(addressSpellings('ada@xn--bcher-kva.example')).toEqual(
      expect.arrayContaining([
        'ada@xn--bcher-kva.example',
        'ada@bücher.example',
        'ada@bücher.example'.normalize('NFD'),
      ]),
    );
  });

  test('gives one form of a plain address', () => {
    expect(addressSpellings('ada@contacts.example')).toEqual(['ada@contacts.example']);
  });
});

test('a tombstone cannot be mailed and is unique', () => {
  expect(tombstoneAddress('0199-a')).toBe('0199-a@erased.invalid');
});

describe('AddressSearch', () => {
  const found = (text: Buffer, size = text.length) => {
    const search = new AddressSearch(['ada@xn--bcher-kva.example', 'zoë@contacts.example']);
    for (let at = 0; at < text.length; at += size) {
      if (search.feed(text.subarray(at, at + size))) return true;
    }
    return false;
  };

  test.each([
    ['as it is', 'email\nada@xn--bcher-kva.example,Ada\n'],
    ['in other letter case', 'EMAIL\nAda@XN--Bcher-KVA.Example,Ada\n'],
    ['with a Unicode domain', 'email\nada@bücher.example,Ada\n'],
    ['with a Unicode local part', 'email\nzoë@contacts.example\n'],
    ['decomposed', 'email\nzoë@contacts.example\n'.normalize('NFD')],
  ])('finds an address %s, in UTF-8 and UTF-16, however the file is cut', (_how, text) => {
    for (const bytes of [
      Buffer.from(text, 'utf8'),
      Buffer.from(text, 'utf16le'),
      Buffer.from(text, 'utf16le').swap16(),
    ]) {
      for (const size of [1, 3, 7, 1_000]) expect(found(bytes, size)).toBe(true);
    }
  });

  test('finds nothing in a file of other people', () => {
    expect(found(Buffer.from('email\nbob@contacts.example\nada@contacts.example\n'), 5)).toBe(false);
  });

  test('finds an address at any place of any file, however it is cut', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.integer({ min: 1, max: 40 }), (before, after, size) => {
        expect(found(Buffer.from(`${before}ada@xn--bcher-kva.example${after}`, 'utf8'), size)).toBe(true);
      }),
    );
  });
});
