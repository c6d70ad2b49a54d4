import * as fc from 'fast-check';
import { type CompileOptions, compileContent } from './compile';
import {
  addRecipient,
  buildContext,
  campaignConstants,
  type RecipientLayers,
  type RenderContext,
  trackableConstants,
} from './context';
import { ContentError, renderOnce } from './engine';
import { render, renderForRecipient } from './render';

const PLAIN: CompileOptions = { unsubscribeLink: false, trackOpens: false, trackClicks: false };
const BULK: CompileOptions = { unsubscribeLink: true, trackOpens: true, trackClicks: true };

function html(template: string, context: RenderContext): string {
  return render(compileContent({ subject: 's', html: template, text: 't' }, PLAIN), context).html;
}

describe('render', () => {
  it('renders three parts at once, HTML escaped, subject and text not', () => {
    const content = compileContent({ subject: 'Hi {{ n }}', html: '<p>{{ n }}</p>\n', text: '{{ n }}\n' }, PLAIN);
    expect(render(content, { n: 'Tom & <Jerry>' })).toEqual({
      subject: 'Hi Tom & <Jerry>',
      html: '<p>Tom &amp; &lt;Jerry&gt;</p>\n',
      text: 'Tom & <Jerry>\n',
    });
  });

  it('understands the Jinja of the specification', () => {
    const template =
      '<h1>Welcome, {{ recipient_name }}!</h1>{% if has_trial %}<p>Your trial ends on {{ trial_end_date }}</p>{% endif %}' +
      '{% for feature in features %}<li>{{ feature.name }}: {{ feature.description }}</li>{% endfor %}';
    const context = {
      recipient_name: 'Ada',
      has_trial: true,
      trial_end_date: '2026-12-01',
      features: [{ name: 'A', description: 'b' }],
    };
    expect(html(template, context)).toBe('<h1>Welcome, Ada!</h1><p>Your trial ends on 2026-12-01</p><li>A: b</li>');
  });

  it('takes null for missing, at any depth', () => {
    const template = '{{ a|default("x") }}{{ b.c|default("y") }}{{ d.e.f }}{{ g|length }}';
    expect(html(template, { a: null, b: { c: null }, g: [1, null, 2] })).toBe('xy2');
  });

  it('keeps parts apart: variables, separators and line breaks of one never reach another', () => {
    const content = compileContent(
      { subject: '{% set a = "1" %}{{ a }}{{ n }}', html: '[{{ a }}]', text: '({{ a }})' },
      PLAIN,
    );
    expect(render(content, { n: '\r\nBcc: eve@example.org' })).toEqual({
      subject: '1 Bcc: eve@example.org',
      html: '[]',
      text: '()',
    });
  });

  it('never calls what a context brings', () => {
    expect(html('{{ f }}{{ o.f }}', { f: () => 'called', o: { f: () => 'called' } })).toBe('');
    expect(html('{{ __proto__ }}{{ constructor }}{{ toString }}', {})).toBe('');
  });

  it('says where it failed', () => {
    const content = compileContent({ subject: 'ok', html: '<p>\n{{ n + "x" }}</p>', text: 't' }, PLAIN);
    expect(() => render(content, { n: 1 })).toThrow(ContentError);
    try {
      render(content, { n: 1 });
    } catch (error) {
      expect(error instanceof ContentError && error.detail).toMatchObject({
        code: 'RENDER',
        part: 'html',
        line: 2,
        column: 4,
      });
    }
    // The engine is unharmed.
    expect(render(content, { n: 'y' }).html).toBe('<p>\nyx</p>');
  });

  it('ends an endless loop, and refuses an enormous result', () => {
    const loop = '{% for a in l %}{% for b in l %}{% for c in l %}x{% endfor %}{% endfor %}{% endfor %}';
    expect(() => html(loop, { l: Array.from({ length: 1_000 }, () => 1) })).toThrow(/too long/);
    expect(() => html('{{ x }}{{ x }}{{ x }}', { x: 'x'.repeat(900_000) })).toThrow(/larger than 2 MB/);
    expect(html('{{ x }}', { x: 'fine' })).toBe('fine');
  });

  it('writes our own URLs as they are, and escapes all others', () => {
    const content = compileContent(
      {
        subject: 's',
        html: '<a href="{{ unsubscribe_url }}"><a href="{{ u }}"><a href="https://x.example">',
        text: 't',
      },
      BULK,
    );
    const system = {
      unsubscribe_url: 'https://s.example/u/1',
      _click_base: 'https://s.example/c/t.',
      _open_url: 'https://s.example/o',
    };
    const message = render(content, { ...system, u: 'https://u.example/"' });
    expect(message.html).toContain('<a href="https://s.example/u/1">');
    expect(message.html).toContain('<a href="https://s.example/c/t.0">');
    expect(message.html).toContain('src="https://s.example/o"');
    expect(message.html).toContain('&quot;">');
  });
});

describe('contexts', () => {
  it('let later layers win', () => {
    const layer = (value: string, names: string) => Object.fromEntries([...names].map((name) => [name, value]));
    const context = buildContext({
      workspace: layer('workspace', 'abcdef'),
      templateDefaults: layer('template', 'bcdef'),
      campaign: layer('campaign', 'cdef'),
      contact: { email: 'ada@example.org', fields: layer('contact', 'def') },
      delivery: layer('delivery', 'ef'),
      system: { unsubscribe_url: 'u' },
    });
    expect(context).toMatchObject({
      a: 'workspace',
      b: 'template',
      c: 'campaign',
      d: 'contact',
      e: 'delivery',
      f: 'delivery',
    });
  });

  it('let no data forge system variables or replace built-in ones', () => {
    const context = buildContext({
      campaign: { unsubscribe_url: 'https://evil.example', email: 'x' },
      contact: { email: 'ada@example.org', fields: { email: 'y', unsubscribe_url: 'z' } },
      delivery: { unsubscribe_url: 'https://evil.example' },
      system: { unsubscribe_url: 'https://s.example' },
    });
    expect(context).toMatchObject({ email: 'ada@example.org', unsubscribe_url: 'https://s.example' });
  });

  it('take null and empty names for missing', () => {
    const context = buildContext({
      templateDefaults: { plan: 'free', first_name: 'friend' },
      contact: { email: 'ada@example.org', firstName: '', lastName: 'Lovelace', fields: { plan: null } },
    });
    expect(context).toMatchObject({ plan: 'free', first_name: 'friend', recipient_name: 'Lovelace' });
  });

  it('know which constants no recipient can change', () => {
    expect(trackableConstants({ action_url: 'a', plan: 'b', email: 'c', unsubscribe_url: 'd' }, ['plan'])).toEqual({
      action_url: 'a',
    });
  });
});

describe('renderForRecipient', () => {
  const names = [
    'a',
    'b',
    'email',
    'first_name',
    'recipient_name',
    'tags',
    'fields',
    'unsubscribe_url',
    '__proto__',
    'toString',
  ];
  const values = fc.oneof(
    fc.string({ maxLength: 5 }),
    fc.integer(),
    fc.constant(null),
    fc.array(fc.string({ maxLength: 3 }), { maxLength: 2 }),
  );
  const layer = fc.dictionary(fc.constantFrom(...names), values);
  const text = fc.option(fc.string({ maxLength: 5 }), { nil: null });
  const recipient: fc.Arbitrary<RecipientLayers> = fc.record({
    contact: fc.option(
      fc.record({
        email: fc.emailAddress(),
        firstName: text,
        lastName: text,
        locale: text,
        timeZone: text,
        tags: fc.constant(['t']),
        fields: layer,
      }),
      { nil: null },
    ),
    delivery: fc.option(layer, { nil: null }),
    system: fc.record({ unsubscribe_url: fc.option(fc.webUrl(), { nil: undefined }) }),
  });
  const content = compileContent(
    {
      subject: '{{ first_name|default("you") }}',
      html: names.map((name) => `{{ ${name}|default("-") }}`).join('|'),
      text: '{{ fields.a }}{{ fields.b|default("none") }}{{ last_name }}{{ locale }}{{ time_zone }}',
    },
    PLAIN,
  );

  it('renders what the full context renders', () => {
    fc.assert(
      fc.property(layer, layer, recipient, (workspace, campaign, layers) => {
        const constants = campaignConstants({ workspace, campaign });
        expect(renderForRecipient(content, constants, layers)).toEqual(
          render(content, addRecipient(constants, layers)),
        );
      }),
      { numRuns: 300 },
    );
  });
});

describe('long texts', () => {
  const long = 'Lorem ipsum dolor sit amet, consectetur adipiscing elit, ünd so weiter.';
  const pieces = fc.constantFrom(
    ...[
      long,
      `\n  ${long}\n\n`,
      `${long}{`,
      ' ',
      '\n',
      '; 0;',
      'ü',
      '{{ a }}',
      '{{- a -}}',
      '{# c -#}',
      '{%- raw -%}{{ x }}',
      '{% endraw %}',
    ],
    ...[
      '{% if a %}',
      '{%- if b -%}',
      '{% else %}',
      '{%- endif -%}',
      '{% endif %}',
      '{% for x in l %}',
      '{{ x }}',
      '{% endfor -%}',
      '"',
      "{{ '}}' }}",
    ],
  );

  it('take no part in rendering, and all in its result', () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), fc.string({ unit: 'grapheme' }), (parts, a) => {
        const source = parts.join('');
        const context = { a, l: [1, 2], unsubscribe_url: 'https://s.example/?a=1&b=2' };
        const compiled = compileContent({ subject: 's', html: source, text: source }, PLAIN);
        let expected: string[] | null = null;
        try {
          expected = [renderOnce(compiled.html, context, true), renderOnce(compiled.text, context, false)];
        } catch {
          // Unbalanced tags: render must fail too.
        }
        if (expected === null) expect(() => render(compiled, context)).toThrow(ContentError);
        else if (source.trim() !== '')
          expect([render(compiled, context).html, render(compiled, context).text]).toEqual(expected);
      }),
      { numRuns: 1_500 },
    );
  });
});
