import fc from 'fast-check';
import { slugOf } from './slug';

describe('slugOf', () => {
  test.each([
    ['Acme', 'acme'],
    ['  Café & Söhne GmbH ', 'cafe-sohne-gmbh'],
    ['日本語', 'workspace'],
    ['a'.repeat(60), 'a'.repeat(50)],
    [`${'a'.repeat(49)} b`, 'a'.repeat(49)],
  ])('%s becomes %s', (name, slug) => {
    expect(slugOf(name)).toBe(slug);
  });

  test('is always what the database accepts', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (name) => /^[a-z0-9][a-z0-9-]{0,62}$/.test(slugOf(name))));
  });
});
