import { de } from './de';
import { en, type PageTexts } from './en';
import { fr } from './fr';

export type { PageTexts } from './en';

/** Languages of the public pages. */
export const PAGE_LANGUAGES = ['en', 'de', 'fr'] as const;
export type PageLanguage = (typeof PAGE_LANGUAGES)[number];

const TEXTS: Record<PageLanguage, PageTexts> = { en, de, fr };

export function pageTexts(language: PageLanguage): PageTexts {
  return TEXTS[language];
}

/** Longest Accept-Language header that is looked at, and most of its entries. */
const MAX_HEADER = 1_000;
const MAX_ENTRIES = 30;

/** Our language of a locale such as "de-AT"; null: we do not speak it. */
function languageOf(locale: string | null | undefined): PageLanguage | null {
  const wanted = locale?.toLowerCase().split('-')[0];
  return PAGE_LANGUAGES.find((language) => language === wanted) ?? null;
}

/** The language of a mail: the first of these locales that is ours, else English. */
export function mailLanguage(...locales: readonly (string | null | undefined)[]): PageLanguage {
  for (const locale of locales) {
    const language = languageOf(locale);
    if (language !== null) return language;
  }
  return 'en';
}

/**
 * The language of a page: the best of ours that Accept-Language names, else that of `fallback` (the workspace's locale),
 * else English.
 */
export function pageLanguage(acceptLanguage: string | undefined, fallback: string | null = null): PageLanguage {
  return acceptedLanguage(acceptLanguage) ?? languageOf(fallback) ?? 'en';
}

/**
 * The best of our languages that Accept-Language names (RFC 9110, section 12.5.4; look-up of RFC 4647, "de-AT" means
 * German); null: none of them.
 */
export function acceptedLanguage(acceptLanguage: string | undefined): PageLanguage | null {
  const wanted = (acceptLanguage ?? '')
    .slice(0, MAX_HEADER)
    .split(',', MAX_ENTRIES)
    .map((entry, position) => {
      const [tag = '', ...parameters] = entry
        .trim()
        .toLowerCase()
        .split(/\s*;\s*/);
      const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
      const weight = quality === undefined ? 1 : Number(quality);
      return { language: tag.split('-')[0] ?? '', weight: Number.isFinite(weight) ? weight : 0, position };
    })
    .filter(({ weight }) => weight > 0)
    .sort((one, other) => other.weight - one.weight || one.position - other.position);
  for (const { language } of wanted) {
    const known = languageOf(language);
    if (known !== null) return known;
  }
  return null;
}
