/** Cells of COPY's text format (PostgreSQL manual, "COPY", File Formats). */

const SPECIAL = /[\\\t\n\r]/;

/** One text cell; null is NULL. */
export function copyCell(text: string | null): string {
  if (text === null) return '\\N';
  if (!SPECIAL.test(text)) return text;
  return text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
}

/** A text[] cell. */
export function copyTextArray(texts: readonly string[]): string {
  if (texts.length === 0) return '{}';
  return copyCell(`{${texts.map((text) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`);
}

/** A bytea cell. */
export function copyBytes(bytes: Buffer): string {
  return `\\\\x${bytes.toString('hex')}`;
}
