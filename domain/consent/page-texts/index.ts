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

/**
 * The language of a page: the best of ours that Accept-Language names (RFC 9110, section 12.5.4; look-up of RFC 4647,
 * "de-AT" means German), else that of `fallback` (the workspace's locale), else English.
 */
export function pageLanguage(acceptLanguage: string | undefined, fallback: string | null = null): PageLanguage {
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
  for (const { language } of [...wanted, { language: fallback?.toLowerCase().split('-')[0] ?? '' }]) {
    const known = PAGE_LANGUAGES.find((candidate) => candidate === language);
    if (known) return known;
  }
  return 'en';
}
