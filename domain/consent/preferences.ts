/** How often a contact wants messages of a category (spec 003, SubscriptionFrequency). */
export const FREQUENCIES = ['IMMEDIATE', 'DAILY', 'WEEKLY', 'MONTHLY'] as const;
export type Frequency = (typeof FREQUENCIES)[number];

/** Where a leaving came from (spec 003, UnsubscribeSource). */
export const UNSUBSCRIBE_SOURCES = ['LINK', 'PREFERENCE_CENTER', 'API', 'COMPLAINT', 'BOUNCE'] as const;
export type UnsubscribeSource = (typeof UNSUBSCRIBE_SOURCES)[number];

/** Name and description of a category in one more language. */
export type CategoryTranslations = Partial<Record<string, { name: string; description?: string | undefined }>>;

/** A category's texts in a page's language, else as they were written. */
export function categoryTexts(
  category: { name: string; description: string; translations: CategoryTranslations },
  language: string,
): { name: string; description: string } {
  const translated = category.translations[language];
  return { name: translated?.name ?? category.name, description: translated?.description ?? category.description };
}
