/** Why a file cannot be read as CSV. Stable: shown in `error.code` of a failed import. */
export type CsvProblemCode = 'TEXT_AFTER_QUOTE' | 'QUOTE_NOT_CLOSED' | 'ROW_TOO_LARGE';

/** The file is no CSV from this line on. The message never repeats the file's text. */
export class CsvProblem extends Error {
  constructor(
    readonly code: CsvProblemCode,
    /** Counted from 1; of the row's first line, or of the line where the quote was opened. */
    readonly line: number,
    message: string,
  ) {
    super(message);
    this.name = 'CsvProblem';
  }
}

export interface CsvReaderOptions {
  delimiter: ',' | ';' | '\t' | '|';
  /** What ends a row: "\n" ("\r\n" is read as well), or "\r" as old Macintosh programs write. */
  newline: '\n' | '\r';
  /** Longest row in characters. */
  maxRow: number;
  /** The line that the text begins on; default 1. */
  line?: number;
  /** Rows before the text; default 0. */
  rows?: number;
}

/**
 * A pull parser of CSV (RFC 4180): give it text with `push`, take rows with `next`. Rows without quotes, which nearly
 * all are, cost one indexOf and one split. A quote inside an unquoted cell stands for itself, as spreadsheet programs
 * read it; text after a closing quote is an error, since from there on nobody knows where cells end.
 */
export class CsvReader {
  private text = '';
  private position = 0;
  private currentLine: number;
  private rowsTaken: number;
  private ended = false;
  /** Index of the next quote at or behind `position`; -1 when the text has none, -2 when not looked for yet. */
  private nextQuote = -2;

  constructor(private readonly options: CsvReaderOptions) {
    this.currentLine = options.line ?? 1;
    this.rowsTaken = options.rows ?? 0;
  }

  /** Number of the last row taken, from 1, as a spreadsheet program shows it: empty rows count. */
  get row(): number {
    return this.rowsTaken;
  }

  /** The line on which the next row begins. */
  get line(): number {
    return this.currentLine;
  }

  /** Text given and not yet taken as rows: what lies behind the last row's end. */
  get rest(): string {
    return this.text.slice(this.position);
  }

  push(text: string): void {
    this.text = this.position === this.text.length ? text : this.text.slice(this.position) + text;
    this.position = 0;
    this.nextQuote = -2;
  }

  /** No text follows: the last row needs no line end. */
  end(): void {
    this.ended = true;
  }

  /**
   * The next row that is not empty, or null: more text is needed, or, after `end`, there is none. Throws CsvProblem.
   */
  next(): string[] | null {
    for (;;) {
      const row = this.readRow();
      if (row === null) return null;
      this.rowsTaken++;
      if (row.length > 1 || row[0] !== '') return row;
    }
  }

  private readRow(): string[] | null {
    const { newline, delimiter, maxRow } = this.options;
    const start = this.position;
    if (start >= this.text.length) return null;
    if (this.nextQuote !== -1 && this.nextQuote < start) this.nextQuote = this.text.indexOf('"', start);
    const newlineAt = this.text.indexOf(newline, start);
    const end = newlineAt < 0 ? this.text.length : newlineAt;
    if (this.nextQuote >= 0 && this.nextQuote < end) return this.readQuotedRow();
    if (end - start > maxRow) throw this.tooLarge(this.currentLine);
    if (newlineAt < 0 && !this.ended) return null;
    const row = this.text.slice(start, this.text[end - 1] === '\r' && end > start ? end - 1 : end);
    this.position = newlineAt < 0 ? end : end + 1;
    this.currentLine++;
    return row.split(delimiter);
  }

  /** A row with quotes in it: cell by cell. Nothing is taken unless the row is complete. */
  private readQuotedRow(): string[] | null {
    const { newline, delimiter, maxRow } = this.options;
    const cells: string[] = [];
    let at = this.position;
    let lines = 0;
    for (;;) {
      let cell: string;
      if (this.text[at] === '"') {
        const quoteLine = this.currentLine + lines;
        const close = this.closingQuote(at + 1);
        if (close < 0) {
          if (this.text.length - this.position > maxRow) throw this.tooLarge(quoteLine);
          if (this.ended) {
            throw new CsvProblem('QUOTE_NOT_CLOSED', quoteLine, 'a quote that is opened here is never closed');
          }
          return null;
        }
        const inner = this.text.slice(at + 1, close);
        cell = inner.includes('""') ? inner.replaceAll('""', '"') : inner;
        lines += count(inner, newline);
        at = close + 1;
        if (!this.ended && at + 1 >= this.text.length) return null;
        if (this.text[at] === '\r' && newline === '\n' && (this.text[at + 1] === '\n' || at + 1 === this.text.length))
          at++;
        const following = this.text[at];
        if (following !== undefined && following !== delimiter && following !== newline) {
          throw new CsvProblem(
            'TEXT_AFTER_QUOTE',
            this.currentLine + lines,
            'text follows a closing quote; a quote inside a quoted cell must be doubled',
          );
        }
      } else {
        const newlineAt = this.text.indexOf(newline, at);
        const delimiterAt = this.text.indexOf(delimiter, at);
        if (newlineAt < 0 && delimiterAt < 0 && !this.ended) {
          if (this.text.length - this.position > maxRow) throw this.tooLarge(this.currentLine);
          return null;
        }
        const end = Math.min(
          newlineAt < 0 ? this.text.length : newlineAt,
          delimiterAt < 0 ? this.text.length : delimiterAt,
        );
        cell = this.text.slice(at, end !== delimiterAt && this.text[end - 1] === '\r' && end > at ? end - 1 : end);
        at = end;
      }
      cells.push(cell);
      if (at - this.position > maxRow) throw this.tooLarge(this.currentLine);
      if (this.text[at] === delimiter) {
        at++;
        continue;
      }
      this.position = Math.min(at + 1, this.text.length);
      this.currentLine += lines + 1;
      return cells;
    }
  }

  /** Index of the quote that ends the cell, or -1. A doubled quote is a character of the cell. */
  private closingQuote(from: number): number {
    let at = this.text.indexOf('"', from);
    while (at >= 0 && this.text[at + 1] === '"') at = this.text.indexOf('"', at + 2);
    return at;
  }

  private tooLarge(line: number): CsvProblem {
    return new CsvProblem(
      'ROW_TOO_LARGE',
      line,
      `a row has more than ${this.options.maxRow} characters; most often a quote is not closed`,
    );
  }
}

function count(text: string, character: string): number {
  let found = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) found++;
  return found;
}
