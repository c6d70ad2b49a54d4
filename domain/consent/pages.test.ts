import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Keyring } from '../../platform/crypto';
import { signLinkToken } from './link-token';
import { PAGE_LANGUAGES, pageLanguage, pageTexts } from './page-texts';
import { accentColors, contrast, TEXT_CONTRAST, themeStyle } from './page-theme';
import { openPreferenceToken, preferencesUrl } from './preference-token';
import { categoryTexts } from './preferences';

describe('the language of a page', () => {
  test.each([
    [undefined, null, 'en'],
    ['', 'de-AT', 'de'],
    ['de-AT,de;q=0.9,en;q=0.8', null, 'de'],
    ['ja, fr;q=0.3, en;q=0.2', 'de', 'fr'],
    ['en;q=0.1, fr;q=0.9', null, 'fr'],
    ['fr;q=0, de;q=0.1', null, 'de'],
    ['ja', 'fr-CH', 'fr'],
    ['ja', 'ja', 'en'],
    ['*', 'de', 'de'],
    ['DE', null, 'de'],
    ['de;q=abc, fr;q=0.2', null, 'fr'],
  ])('%s with the workspace in %s is %s', (header, fallback, language) => {
    expect(pageLanguage(header, fallback)).toBe(language);
  });

  test('any header has one', () => {
    fc.assert(fc.property(fc.string({ maxLength: 2_000 }), (header) => PAGE_LANGUAGES.includes(pageLanguage(header))));
  });

  test('no two languages say the same, and none has a hole', () => {
    const flat = (value: unknown): string[] => {
      if (typeof value === 'function') return [String(value('Ada & Co'))];
      if (typeof value === 'object' && value !== null) return Object.values(value).flatMap(flat);
      return [String(value)];
    };
    const [english = [], ...others] = PAGE_LANGUAGES.map((language) => flat(pageTexts(language)));
    for (const other of others) {
      expect(other).toHaveLength(english.length);
      expect(other.filter((text) => text.trim() === '' || english.includes(text))).toEqual([]);
    }
  });
});

describe('a theme', () => {
  test('is readable, whatever colour it names', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffff }), (value) => {
        const { light, dark } = accentColors(value.toString(16).padStart(6, '0'));
        expect(contrast(light.accent, 'ffffff')).toBeGreaterThanOrEqual(TEXT_CONTRAST);
        expect(contrast(light.accent, 'f3f4f6')).toBeGreaterThanOrEqual(TEXT_CONTRAST);
        expect(contrast(dark.accent, '111827')).toBeGreaterThanOrEqual(TEXT_CONTRAST);
        expect(contrast(light.accent, light.on)).toBeGreaterThanOrEqual(TEXT_CONTRAST);
        expect(contrast(dark.accent, dark.on)).toBeGreaterThanOrEqual(TEXT_CONTRAST);
      }),
    );
  });

  test('keeps a colour that is readable as it is', () => {
    expect(accentColors('1d4ed8').light.accent).toBe('1d4ed8');
    expect(themeStyle('1d4ed8', 'SQUARE')).toContain('--accent:#1d4ed8');
    expect(contrast('000000', 'ffffff')).toBeCloseTo(21, 5);
  });
});

describe('the link to the preference centre', () => {
  const keyring = new Keyring(`a:${randomBytes(32).toString('base64url')}`);
  const reference = {
    workspaceId: '0190a000-0000-7000-8000-000000000001',
    contactId: '0190a000-0000-7000-8000-000000000002',
  };

  test('opens to what was signed, has no end, and is no other link', () => {
    const url = preferencesUrl(keyring, 'https://mail.example/', reference);
    const token = url.replace('https://mail.example/preferences/', '');
    expect(openPreferenceToken(keyring, token)).toEqual(reference);
    const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    expect(Object.keys(payload).sort()).toEqual(['purpose', 'sub']);
    const ids = { workspaceId: reference.workspaceId, id: reference.contactId };
    for (const purpose of ['opt-in-confirm', 'invitation'] as const) {
      expect(openPreferenceToken(keyring, signLinkToken(keyring, purpose, ids, null))).toBeNull();
    }
    expect(openPreferenceToken(keyring, `${token}A`)).toBeNull();
    expect(openPreferenceToken(keyring, 'x'.repeat(103))).toBeNull();
  });
});

test('a category has its texts in the language of the page, else as written', () => {
  const category = { name: 'Tips', description: 'Now and then', translations: { de: { name: 'Tipps' } } };
  expect(categoryTexts(category, 'de')).toEqual({ name: 'Tipps', description: 'Now and then' });
  expect(categoryTexts(category, 'fr')).toEqual({ name: 'Tips', description: 'Now and then' });
});
