import { type LintInput, lintTemplate } from './lint';

const EMPTY: LintInput = { subject: 's', html: '<p>h</p>', text: 't', declaredVariables: [] };

function errors(input: Partial<LintInput>): string[] {
  const { errors: found } = lintTemplate({ ...EMPTY, ...input });
  return found.map(({ code, part, line, column }) => `${code} ${part} ${line ?? '-'}:${column ?? '-'}`);
}

describe('lintTemplate', () => {
  it('finds nothing in a good message', () => {
    const result = lintTemplate({
      subject: 'Hi {{ first_name }}',
      html: '{{ fields.plan }}{{ plan }}{{ days }}{% for f in features %}{{ f.name|upper }}{% endfor %}{{ unsubscribe_url }}',
      previewText: '{{ days }}',
      declaredVariables: [{ name: 'days' }, { name: 'features', default: [] }],
      knownVariables: ['plan'],
    });
    expect(result).toEqual({ errors: [], warnings: [] });
  });

  it.each<[Partial<LintInput>, string]>([
    [{ html: 'a\n{{ b c }}' }, 'SYNTAX html 2:6'],
    [{ html: '{% if email %}' }, 'SYNTAX html 1:13'],
    [{ html: '{{ email' }, 'SYNTAX html 1:4'],
    [{ html: '\n  {% endfor %}' }, 'SYNTAX html 2:6'],
    [{ subject: '{{ }}' }, 'SYNTAX subject 1:4'],
    [{ text: '{% break %}' }, 'SYNTAX text 1:4'],
    [{ previewText: 'x {{ "a }}' }, 'SYNTAX previewText 1:11'],
    [{ html: '<p>\n\tüñï {{ nobody }}' }, 'UNDECLARED_VARIABLE html 2:9'],
    [{ html: '{{ email|shout }}' }, 'UNKNOWN_FILTER html 1:10'],
    [{ html: '{{ email is loud }}' }, 'UNKNOWN_TEST html 1:13'],
    [{ html: '{% include "x" %}' }, 'FORBIDDEN_TAG html 1:4'],
    [{ html: '{% extends "x" %}' }, 'FORBIDDEN_TAG html 1:4'],
    [{ subject: 'a\r\nBcc: x' }, 'LINE_BREAK subject 1:2'],
    [{ subject: 'x'.repeat(4_000) }, 'TOO_LARGE subject 1:1'],
    [{ html: 'a\0b' }, 'UNSTORABLE_CHARACTER html 1:2'],
    [{ text: '\ud800' }, 'UNSTORABLE_CHARACTER text 1:1'],
    [{ html: 'x'.repeat(5 * 1024 * 1024) }, 'TOO_LARGE html -:-'],
    [{ html: 'ü'.repeat(600_000) }, 'TOO_LARGE html -:-'],
    [{ html: '{{ debug() }}' }, 'UNDECLARED_VARIABLE html 1:4'],
    [{ html: '{{ _click_base }}' }, 'UNDECLARED_VARIABLE html 1:4'],
    [{ declaredVariables: [{ name: 'email' }] }, 'RESERVED_NAME variables -:-'],
    [{ declaredVariables: [{ name: '_x' }] }, 'RESERVED_NAME variables -:-'],
  ])('%.60j: %s', (input, expected) => {
    expect(errors(input)).toEqual([expected]);
  });

  it('reports an undeclared variable once per part, and all of them', () => {
    expect(errors({ subject: '{{ a }}', html: '{{ a }}{{ b }}{{ a }}' })).toEqual([
      'UNDECLARED_VARIABLE subject 1:4',
      'UNDECLARED_VARIABLE html 1:4',
      'UNDECLARED_VARIABLE html 1:11',
    ]);
  });

  it('warns of declared variables that are not used', () => {
    const { errors: none, warnings } = lintTemplate({ ...EMPTY, declaredVariables: [{ name: 'days' }] });
    expect(none).toEqual([]);
    expect(warnings).toEqual([
      {
        code: 'UNUSED_VARIABLE',
        part: 'variables',
        pointer: '/variables/0/name',
        message: '"days" is declared, but not used',
      },
    ]);
  });
});
