import { parse } from 'csv-parse/sync';
import { stringify } from 'csv-stringify/sync';
import * as fc from 'fast-check';
import { detectDialect } from './csv-dialect';
import { Utf8Decoder } from './csv-encoding';
import { CsvProblem, CsvReader } from './csv-reader';

function readAll(text: string, cuts: number[] = [], delimiter: ',' | ';' = ',', maxRow = 10_000): string[][] {
  const reader = new CsvReader({ delimiter, newline: '\n', maxRow });
  const rows: string[][] = [];
  const take = () => {
    for (let row = reader.next(); row !== null; row = reader.next()) rows.push(row);
  };
  let from = 0;
  for (const cut of [...new Set(cuts.map((value) => value % (text.length + 1)))].sort((a, b) => a - b)) {
    reader.push(text.slice(from, cut));
    from = cut;
    take();
  }
  reader.push(text.slice(from));
  reader.end();
  take();
  return rows;
}

const cell = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', 'a', ' ', ';', 'é'), maxLength: 6 }),
);
// One empty cell alone is an empty row, which is skipped.
const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 8 });

describe('CsvReader', () => {
  it('reads what a CSV writer wrote, wherever the text is cut', () => {
    fc.assert(
      fc.property(
        table,
        fc.array(fc.nat(200), { maxLength: 6 }),
        fc.constantFrom('\n', '\r\n'),
        (rows, cuts, newline) => {
          const text = stringify(rows, { record_delimiter: newline, quoted_match: /[\r\n"]/ });
          expect(readAll(text, cuts)).toEqual(rows);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('agrees with csv-parse on text without stray quotes', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', 'b', ',', '\n', ' '), maxLength: 40 }), (text) => {
        expect(readAll(text)).toEqual(
          parse(text, { relax_column_count: true, skip_empty_lines: true, record_delimiter: '\n' }),
        );
      }),
    );
  });

  it.each([
    ['a quote inside an unquoted cell', 'a@x.example,Bob "B" Ray\n', [['a@x.example', 'Bob "B" Ray']]],
    [
      'a last row without line end',
      'a,b\nc,"d"',
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    [
      'empty rows',
      '\r\na,b\r\n\r\n\r\nc,d\r\n',
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
    [
      'cells over several lines',
      '"a\nb",c\nd,e',
      [
        ['a\nb', 'c'],
        ['d', 'e'],
      ],
    ],
    ['an empty quoted cell at the end', 'a,""', [['a', '']]],
    ['a delimiter at the end', 'a,"b",', [['a', 'b', '']]],
  ])('reads %s', (_name, text, rows) => expect(readAll(text)).toEqual(rows));

  it.each([
    ['a,b\n"c"d,e\n', 'TEXT_AFTER_QUOTE', 2],
    ['a,b\nc,d\n"e,f\ng,h\n', 'QUOTE_NOT_CLOSED', 3],
    [`a,b\n"${'x'.repeat(200)}`, 'ROW_TOO_LARGE', 2],
    [`a,b\n${'x'.repeat(200)}`, 'ROW_TOO_LARGE', 2],
    [`a,b\n"c",${'x'.repeat(200)}`, 'ROW_TOO_LARGE', 2],
  ])('refuses %j as %s in line %d', (text, code, line) => {
    let thrown: unknown;
    try {
      readAll(text, [], ',', 100);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CsvProblem);
    expect(thrown).toMatchObject({ code, line });
  });

  it('counts rows and lines and says what is left', () => {
    const reader = new CsvReader({ delimiter: ',', newline: '\n', maxRow: 100 });
    reader.push('a,b\n\n"c\nc",d\ne,f');
    expect([reader.next(), reader.row, reader.line]).toEqual([['a', 'b'], 1, 2]);
    expect([reader.next(), reader.row, reader.line]).toEqual([['c\nc', 'd'], 3, 5]);
    expect([reader.next(), reader.rest]).toEqual([null, 'e,f']);
  });
});

describe('detectDialect', () => {
  it.each([
    ['email;first_name\n', ';', '\n'],
    ['email\tname, first\tlast\n', '\t', '\n'],
    ['"a;b;c",d,e\r\n', ',', '\n'],
    ['email\n', ',', '\n'],
    ['email|name\rx@y.example|z\r', '|', '\r'],
  ])('reads %j with %j and %j', (text, delimiter, newline) =>
    expect(detectDialect(text)).toEqual({ delimiter, newline }),
  );
});

describe('Utf8Decoder', () => {
  it('gives the text back, wherever the bytes are cut', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), fc.nat(100), (input, at) => {
        const text = input.replaceAll('\0', '');
        fc.pre(!text.startsWith('\ufeff'));
        const bytes = Buffer.from(text, 'utf8');
        const cut = at % (bytes.length + 1);
        const decoder = new Utf8Decoder(false);
        const parts = [decoder.decode(bytes.subarray(0, cut)), decoder.decode(bytes.subarray(cut))];
        expect(parts.map((part) => (part.ok ? part.text : part.code)).join('')).toBe(text);
        expect(decoder.end()).toBeNull();
      }),
    );
  });

  it.each([
    ['UTF_16', Buffer.from('\ufeffemail,name', 'utf16le')],
    ['UTF_16', Buffer.from('email,name\n', 'utf16le')],
    ['BINARY', Buffer.concat([Buffer.from('email\nsome text that is long enough to be judged'), Buffer.from([0, 1])])],
    ['NOT_UTF_8', Buffer.from('email,name\na@x.example,M\xfcller\n', 'latin1')],
  ])('refuses %s', (code, bytes) => expect(new Utf8Decoder(true).decode(bytes)).toMatchObject({ ok: false, code }));

  it('leaves a byte order mark out', () => {
    expect(new Utf8Decoder(true).decode(Buffer.from('\ufeffemail'))).toEqual({ ok: true, text: 'email' });
  });

  it('notices a file that ends inside a character', () => {
    const decoder = new Utf8Decoder(true);
    decoder.decode(Buffer.from('é').subarray(0, 1));
    expect(decoder.end()).toMatchObject({ code: 'NOT_UTF_8' });
  });
});
