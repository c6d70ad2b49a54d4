/** RFC 5322, 2.1.1: a line has at most 998 octets; a header value longer than that is no text anyone wrote. */
export const MAX_HEADER_OCTETS = 998;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const FORBIDDEN = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029\p{Surrogate}]/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const FORBIDDEN_RUNS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\p{Surrogate}]+/gu;

/**
 * What is wrong with a text that will stand in a mail header (subject, display name), or null. Line breaks and NUL
 * would let it add headers of its own (RFC 5322, 2.2), so what people and programs give us is refused, not repaired.
 */
export function headerTextProblem(value: string): string | null {
  if (FORBIDDEN.test(value)) return 'must not contain line breaks, NUL or other control characters';
  if (Buffer.byteLength(value) > MAX_HEADER_OCTETS) return `must have at most ${MAX_HEADER_OCTETS} octets`;
  return null;
}

/** A rendered text made fit for a header: data may bring line breaks into a subject that has none itself. */
export function headerSafe(value: string): string {
  return (FORBIDDEN.test(value) || value.includes('\t') ? value.replace(FORBIDDEN_RUNS, ' ') : value).trim();
}
