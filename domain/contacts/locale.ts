import { canonicalTimeZone } from '../shared/zones';

/** The IANA zone in its usual spelling, or null if there is none of that name. */
export function parseTimeZone(input: string): string | null {
  return canonicalTimeZone(input.trim());
}

/** BCP 47 allows more; nobody's preference needs it, and the column is bounded. */
const MAX_LOCALE_LENGTH = 35;

/** The canonical BCP 47 tag ("pt-BR"; "pt_BR" and "PT-br" are understood), or null. */
export function parseLocale(input: string): string | null {
  const known = locales.get(input);
  if (known !== undefined) return known;
  const locale = canonicalLocale(input.trim().replaceAll('_', '-'));
  if (locales.size >= 5_000) locales.clear();
  locales.set(input, locale);
  return locale;
}

const locales = new Map<string, string | null>();

function canonicalLocale(tag: string): string | null {
  if (tag.length > MAX_LOCALE_LENGTH || !/^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*$/.test(tag)) return null;
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
