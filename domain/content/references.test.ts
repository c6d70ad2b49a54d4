import { findMissing } from './missing';
import { analyseTemplate } from './references';

function names(source: string): string[] {
  return analyseTemplate(source).references.map(({ path }) => path.join('.'));
}

describe('analyseTemplate', () => {
  it.each<[string, string[]]>([
    ['{{ a }}{{ a.b.c }}{{ a["b c"].d }}{{ a[0].b }}', ['a', 'a.b.c', 'a.b c.d', 'a']],
    ['{{ a[b] }}', ['a', 'b']],
    ['{{ a|default(b)|upper }}', ['a', 'b']],
    ['{{ a is defined and b is not none or not c }}', ['a', 'b', 'c']],
    ['{{ "a" ~ b ~ 1.5 if true else none }}', ['b']],
    ['{{ a.upper() }}{{ items.get("x") }}', ['a', 'items']],
    ['{% for x in xs %}{{ x.a }}{{ loop.index }}{{ y }}{% endfor %}{{ x }}', ['xs', 'y', 'x']],
    ['{% for k, v in m.items() if v > min %}{{ k }}{% else %}{{ none_found }}{% endfor %}', ['m', 'min', 'none_found']],
    ['{% set a = b %}{{ a }}{{ b }}', ['b', 'b']],
    ['{% set a %}{{ b }}{% endset %}{{ a }}', ['b']],
    ['{% set ns = namespace(n=c) %}{% set ns.n = d %}', ['c', 'd']],
    ['{% with a = b, c = d %}{{ a }}{{ c }}{{ e }}{% endwith %}{{ a }}', ['b', 'd', 'e', 'a']],
    ['{% macro m(x, y=z) %}{{ x }}{{ y }}{{ w }}{% endmacro %}{{ m(v, y=u) }}', ['z', 'w', 'v', 'u']],
    ['{% call(x) m() %}{{ x }}{% endcall %}', ['m']],
    ['{% filter upper %}{{ a }}{% endfilter %}', ['a']],
    ['{% if a == b %}{% elif c in d %}{% endif %}', ['a', 'b', 'c', 'd']],
    ['{{ range(n)|list }}{{ dict(a=b) }}', ['n', 'b']],
    ['{% raw %}{{ a }}{% endraw %}{# {{ b }} #}', []],
    ['{{ {"k": a, b: c}.k }}', ['a', 'b', 'c']],
  ])('%s', (source, expected) => {
    expect(names(source)).toEqual(expected);
  });

  it('finds filters and tests', () => {
    const { filters, tests } = analyseTemplate(
      '{{ a|upper|e }}{{ b is odd }}{{ c is not even }}{% filter trim %}{% endfilter %}',
    );
    expect([...filters.keys()]).toEqual(['upper', 'e', 'trim']);
    expect([...tests.keys()]).toEqual(['odd', 'even']);
  });

  it('knows what everybody gets', () => {
    const { references } = analyseTemplate(
      '{{ a }}{% if b %}{{ c }}{% endif %}{% for d in e %}{{ f }}{% endfor %}{{ g if h }}{{ i }}',
    );
    expect(references.filter(({ unconditional }) => unconditional).map(({ path }) => path[0])).toEqual(['a', 'i']);
  });
});

describe('findMissing', () => {
  const source = {
    subject: 'Hi {{ first_name|default("you") }}',
    html: '{{ plan }}{{ fields.seats }}{% if trial %}{{ trial }}{% endif %}{% for f in features %}{{ f.name }}{% endfor %}',
    text: '{{ plan }} {{ first_name }}',
  };

  it('lists what the context lacks, with its places', () => {
    expect(findMissing(source, { plan: null, fields: { seats: 3 }, features: [] })).toEqual([
      { name: 'first_name', parts: ['subject', 'text'], optional: false },
      { name: 'plan', parts: ['html', 'text'], optional: false },
      { name: 'trial', parts: ['html'], optional: false },
    ]);
  });

  it('lists nothing for a full context', () => {
    expect(
      findMissing(source, { first_name: '', plan: 'pro', fields: { seats: 0 }, trial: false, features: [] }),
    ).toEqual([]);
  });

  it('marks what is provided for', () => {
    expect(
      findMissing({ subject: '{{ a|default("x") }}{{ b or "y" }}{% if c is defined %}{% endif %}', html: '' }, {}),
    ).toEqual([
      { name: 'a', parts: ['subject'], optional: true },
      { name: 'b', parts: ['subject'], optional: true },
      { name: 'c', parts: ['subject'], optional: true },
    ]);
  });
});
