/** Names and tags: bounded, single-line, storable texts. */

export const MAX_NAME_LENGTH = 200;
export const MAX_TAGS = 100;
export const MAX_TAG_LENGTH = 100;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\p{Surrogate}]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NEEDS_CLEANING = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\p{Surrogate}]|\s\s|^\s|\s$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL_OR_SPACE = /[\u0000-\u0020\u007f-\u009f\u2028\u2029\p{Surrogate}\s]+/gu;

/**
 * What is wrong with a name part given by a person or a program, or null. Names become part of mail headers, so line
 * breaks and other control characters are refused (RFC 5322, 2.2).
 */
export function nameProblem(name: string): string | null {
  if (name.length > MAX_NAME_LENGTH) return `must have at most ${MAX_NAME_LENGTH} characters`;
  return CONTROL.test(name) ? 'must not contain line breaks or control characters' : null;
}

/** A name as found in an export: line breaks and runs of spaces become one space. */
export function tidyName(name: string): string {
  const tidy = NEEDS_CLEANING.test(name) ? name.replace(CONTROL_OR_SPACE, ' ').trim() : name;
  return tidy.normalize('NFC');
}

/** What is wrong with a list of tags, or null. */
export function tagsProblem(tags: readonly string[]): string | null {
  if (tags.length > MAX_TAGS) return `must be at most ${MAX_TAGS}`;
  for (const tag of tags) {
    if (tag === '' || tag.trim() !== tag) return 'must not be empty or have spaces around them';
    if (tag.length > MAX_TAG_LENGTH) return `must have at most ${MAX_TAG_LENGTH} characters each`;
    if (CONTROL.test(tag)) return 'must not contain line breaks or control characters';
  }
  return null;
}
