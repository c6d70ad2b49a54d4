import type { CsvReaderOptions } from './csv-reader';

const DELIMITERS = [',', ';', '\t', '|'] as const;

/** How a file separates cells and rows, judged by its first row. A file without any delimiter has one column. */
export function detectDialect(beginning: string): Pick<CsvReaderOptions, 'delimiter' | 'newline'> {
  const newline = !beginning.includes('\n') && beginning.includes('\r') ? '\r' : '\n';
  const header = firstRow(beginning, newline);
  const [best] = DELIMITERS.map((delimiter) => ({ delimiter, times: header.split(delimiter).length - 1 })).sort(
    (a, b) => b.times - a.times,
  );
  return { delimiter: best?.delimiter ?? ',', newline };
}

/** The first row without what is quoted. */
function firstRow(text: string, newline: string): string {
  const unquoted = text.replace(/"(?:[^"]|"")*"/g, '').replace(/^[\r\n]+/, '');
  const end = unquoted.indexOf(newline);
  return end < 0 ? unquoted : unquoted.slice(0, end);
}
