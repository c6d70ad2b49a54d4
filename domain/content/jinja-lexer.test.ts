import * as fc from 'fast-check';
import { lexTemplate, lineAndColumn } from './jinja-lexer';

function kinds(source: string): string[] {
  return lexTemplate(source).map(({ kind, start, end }) => `${kind}:${source.slice(start, end)}`);
}

describe('lexTemplate', () => {
  it('tells text, outputs, statements and comments apart', () => {
    expect(kinds('a {{ b }}{% if c %}d{# {{ e }} #}')).toEqual([
      'text:a ',
      'output:{{ b }}',
      'statement:{% if c %}',
      'text:d',
      'comment:{# {{ e }} #}',
    ]);
  });

  it.each([
    ['{{ "}}" }}x', ['output:{{ "}}" }}', 'text:x']],
    ["{{ 'it\\'s }}' }}x", ["output:{{ 'it\\'s }}' }}", 'text:x']],
    ['{{ {"a": {"b": 1}} }}x', ['output:{{ {"a": {"b": 1}} }}', 'text:x']],
    [
      '{%- raw -%}{{ x }}{%- endraw -%}y',
      ['statement:{%- raw -%}', 'text:{{ x }}', 'statement:{%- endraw -%}', 'text:y'],
    ],
    ['{% raw %}{{ x', ['statement:{% raw %}', 'text:{{ x']],
    ['{{ a', ['output:{{ a']],
    ['{# a', ['comment:{# a']],
    ['{ {', ['text:{ {']],
  ])('%s', (source, expected) => {
    expect(kinds(source)).toEqual(expected);
  });

  it('covers the whole source without gaps, whatever it is', () => {
    const pieces = fc.constantFrom(
      '{{',
      '}}',
      '{%',
      '%}',
      '{#',
      '#}',
      '"',
      "'",
      '\\',
      'raw',
      'endraw',
      ' ',
      'a',
      '-',
      '(',
      '}',
      '\n',
      'ü',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        const source = parts.join('');
        const segments = lexTemplate(source);
        expect(segments.map(({ start, end }) => source.slice(start, end)).join('')).toBe(source);
        expect(segments.every(({ start, end }) => end > start)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('takes time in proportion to the source', () => {
    const segments = lexTemplate('{{ x }}{ '.repeat(100_000));
    expect(segments).toHaveLength(200_000);
  });
});

describe('lineAndColumn', () => {
  it('counts from 1', () => {
    expect(lineAndColumn('ab\ncd', 0)).toEqual({ line: 1, column: 1 });
    expect(lineAndColumn('ab\ncd', 2)).toEqual({ line: 1, column: 3 });
    expect(lineAndColumn('ab\ncd', 3)).toEqual({ line: 2, column: 1 });
    expect(lineAndColumn('ab\r\ncd', 5)).toEqual({ line: 2, column: 2 });
  });
});
