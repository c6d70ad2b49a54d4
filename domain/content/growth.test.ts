import { classifyExecution } from './growth';
import { analyseTemplate } from './references';

function execution(source: string): string {
  return classifyExecution(analyseTemplate(source));
}

describe('classifyExecution', () => {
  it.each([
    'Hello {{ first_name|default("there") }}, you have {{ seats + 1 }} seats, {{ price * 1.19 }} €',
    '{% if (plan == "pro") and not (trial) %}{{ a ~ b }}{% elif x in ("a", "b") %}{% else %}{% endif %}',
    '{% for feature in features %}<li>{{ feature.name }}: {{ feature.description|trim }}</li>{% endfor %}',
    '{% for group in groups %}{% for item in group.items %}{{ item }}{% endfor %}{% endfor %}',
    '{% for k, v in fields.items() %}{{ k|replace("_", " ")|title }}: {{ v|upper }}{% endfor %}',
    '{{ tags|join(", ") }}{% set plan = fields.plan %}{{ plan }}{% with a = plan %}{{ a }}{% endwith %}',
    '{% for i in range(10) %}*{% endfor %}{{ range(3)|list|length }}',
    '{% raw %}{{ "x" * 1000000000 }}{% endraw %}{# {{ "x" * 1000000000 }} #}',
    '{{ name.upper() }}{{ name[:10] }}',
  ])('in-process: %s', (source) => expect(execution(source)).toBe('in-process'));

  it.each([
    '{{ "x" * 1000000000 }}',
    '{{ "x" * 1_000_000_000 }}',
    '{{ "x" * 0x3b9aca00 }}',
    '{{ "x" * 1e9 }}',
    '{{ "x" * seats }}',
    '{{ "x" * 100 * 100 * 100 }}',
    '{{ ("x" * 100) ~ ("x" * 100) }}',
    '{% set a = a ~ a %}',
    '{% set a = [a, a] %}',
    '{% set a %}{{ a }}{{ a }}{% endset %}',
    '{% with a = b + b %}{% endwith %}',
    '{% set ns = namespace(a="x") %}',
    '{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}',
    '{% call m() %}{% endcall %}',
    '{% for a in list %}{% for b in list %}x{% endfor %}{% endfor %}',
    '{% for a in tree recursive %}{{ loop(a.children) }}{% endfor %}',
    '{% for i in range(100000) %}x{% endfor %}',
    '{% for i in range(seats) %}x{% endfor %}',
    '{{ bio|replace("", bio) }}',
    '{{ bio|replace("a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") }}',
    '{{ tags|join(bio) }}',
    '{{ bio|indent(1000000) }}',
    '{{ bio|center(1000000) }}',
    '{{ bio.replace("", bio) }}',
    '{{ bio.center(100000) }}',
    '{% filter indent(1000) %}x{% endfilter %}',
    '{% include "x" %}',
  ])('isolated: %s', (source) => expect(execution(source)).toBe('isolated'));
});
