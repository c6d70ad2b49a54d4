import * as fc from 'fast-check';
import { canonicalHash } from './canonical-hash';
import { type CompileOptions, compileContent, ensureUnsubscribe } from './compile';
import { extractLinks } from './links';
import { deriveText } from './plain-text';

const BULK: CompileOptions = { unsubscribeLink: true, trackOpens: true, trackClicks: true };
const PLAIN: CompileOptions = { unsubscribeLink: false, trackOpens: false, trackClicks: false };

describe('extractLinks', () => {
  it('replaces static targets and leaves every other byte alone', () => {
    const html =
      '<A class=x HREF="https://example.org/a?b=1&amp;c=2"\n>Go</A><a href=\'http://x.example\'>\t<a href=https://y.example/z>';
    expect(extractLinks(html)).toEqual({
      html: '<A class=x HREF="{{ _click_base|safe }}0"\n>Go</A><a href=\'{{ _click_base|safe }}1\'>\t<a href="{{ _click_base|safe }}2">',
      links: ['https://example.org/a?b=1&c=2', 'http://x.example', 'https://y.example/z'],
    });
  });

  it('gives one index to one target', () => {
    const { html, links } = extractLinks(
      '<a href="https://a.example">1</a><a href="https://b.example">2</a><a href="https://a.example">3</a>',
    );
    expect(links).toEqual(['https://a.example', 'https://b.example']);
    expect(html.match(/safe }}\d/g)).toEqual(['safe }}0', 'safe }}1', 'safe }}0']);
  });

  it.each([
    '<a href="mailto:ada@example.org">',
    '<a href="tel:+49301234">',
    '<a href="#top">',
    '<a href="/relative">',
    '<a href="javascript:alert(1)">',
    '<a href="https://">',
    '<a href="{{ unsubscribe_url }}">',
    '<a href="https://example.org/?u={{ user_id }}">',
    '<a href="{% if a %}https://a.example{% else %}https://b.example{% endif %}">',
    '<link href="https://example.org/style.css">',
    '<img src="https://example.org/a.png">',
    '<!-- <a href="https://example.org"> -->',
    '<!--[if mso]><a href="https://example.org"><![endif]-->',
    '{# <a href="https://example.org"> #}',
    '{{ "<a href=\'https://example.org\'>" }}',
    '<style>a[href="https://example.org"] {}</style>',
    '<a title="a > b" name=href>',
  ])('leaves %s alone', (html) => {
    expect(extractLinks(html)).toEqual({ html, links: [] });
  });

  it('is not confused by Jinja inside of tags', () => {
    const html =
      '{% if a < b %}<a {% if c > d %}class="{{ "x\\">" }}"{% endif %} href="https://example.org">{% endif %}';
    expect(extractLinks(html)).toEqual({
      html: '{% if a < b %}<a {% if c > d %}class="{{ "x\\">" }}"{% endif %} href="{{ _click_base|safe }}0">{% endif %}',
      links: ['https://example.org'],
    });
  });

  it('tracks links made of constants', () => {
    const html = '<a href="{{ action_url }}">{{ x }}</a><a href="{{ base }}/a?id={{ id }}">';
    expect(extractLinks(html, { action_url: 'https://example.org/go?a=1&b=2', base: 'https://example.org' })).toEqual({
      html: '<a href="{{ _click_base|safe }}0">{{ x }}</a><a href="{{ base }}/a?id={{ id }}">',
      links: ['https://example.org/go?a=1&b=2'],
    });
    const loop = '{% for base in bases %}<a href="{{ base }}">{% endfor %}';
    expect(extractLinks(loop, { base: 'https://example.org' }).links).toEqual([]);
  });

  it('keeps everything but hrefs, for any mixture', () => {
    const pieces = fc.constantFrom(
      ...[
        '<a href="https://a.example/">',
        "<a\nhref='https://b.example/?q=1&amp;r=2'>",
        '</a>',
        '<p class="x">',
        '{{ a }}',
        '{% if b < c %}',
      ],
      ...[
        '{% endif %}',
        '<!-- c -->',
        '&amp;',
        '"',
        "'",
        'ü',
        '<',
        '>',
        '<a href="&#104;ttps://c.example">',
        '<br/>',
        '{{ ">" }}',
      ],
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
        const source = parts.join('');
        const { html, links } = extractLinks(source);
        const originals = ['https://a.example/', 'https://b.example/?q=1&amp;r=2', '&#104;ttps://c.example'];
        const restored = html.replace(/\{\{ _click_base\|safe \}\}(\d+)/g, (_match, index: string) => {
          const target = links[Number(index)] ?? '';
          return originals.find((original) => original.includes(target.slice(8, 17))) ?? '';
        });
        expect(restored).toBe(source);
      }),
      { numRuns: 500 },
    );
  });
});

describe('ensureUnsubscribe', () => {
  it('leaves messages alone that show the link', () => {
    const html = '<body><a href="{{ unsubscribe_url }}">Leave</a></body>';
    const text = 'Leave: {{ unsubscribe_url }}';
    expect(ensureUnsubscribe(html, text)).toEqual({ html, text });
  });

  it.each([
    '<body><p>Hi</p></body>',
    '<p>Hi</p>',
    '<body>{% if vip %}<a href="{{ unsubscribe_url }}">Leave</a>{% endif %}</body>',
    '<body><!-- <a href="{{ unsubscribe_url }}">Leave</a> --></body>',
    '<body>{# {{ unsubscribe_url }} #}</body>',
    '<body>{% raw %}{{ unsubscribe_url }}{% endraw %}</body>',
  ])('adds one to %s', (html) => {
    const result = ensureUnsubscribe(html, 'Hi\n');
    expect(result.html).toMatch(/<a href="\{\{ unsubscribe_url \}\}"[^>]*>Unsubscribe<\/a><\/p>(?:<\/body>)?$/);
    expect(result.text).toBe('Hi\n\n-- \nUnsubscribe: {{ unsubscribe_url }}\n');
  });
});

describe('deriveText', () => {
  it('keeps words, links and Jinja code', () => {
    const html = `<html><head><title>T</title><style>p{}</style></head><body><span class="preheader">hidden</span>
      <h1>Hi {{ first_name | default("you & <me>") }}</h1>
      <table><tr><td>One</td><td>Two</td></tr></table>
      <ul>{% for f in features if f.n < 3 %}<li>{{ f.name }}</li>{% endfor %}</ul>
      <p><a href="{{ action_url }}">Do it</a> or <a href="https://example.org/?a=1&amp;b=2">read</a></p><img src="x" alt="y"></body></html>`;
    const text = deriveText(html);
    expect(text).toContain('Hi {{ first_name | default("you & <me>") }}');
    expect(text).toMatch(/One\s*\n+\s*Two/);
    expect(text).toContain('{% for f in features if f.n < 3 %}');
    expect(text).toContain('* {{ f.name }}');
    expect(text).toContain('Do it [{{ action_url }}]');
    expect(text).toContain('read [https://example.org/?a=1&b=2]');
    expect(text).not.toMatch(/hidden|p\{\}|<p>|\ue000/);
  });
});

describe('compileContent', () => {
  const source = {
    subject: 'Hi {{ first_name }}',
    html: '<html><body style="x"><p>{{ fields.plan }} & {{ fields["seats"] }}</p><a href="https://example.org">Go</a></body></html>',
    previewText: 'Only {{ days }} days & <more>',
  };

  it('adds what bulk mail needs, in its places', () => {
    const compiled = compileContent(source, BULK);
    expect(compiled.html).toMatch(
      /^<html><body style="x"><div style="display:none[^"]*">Only \{\{ days \}\} days &amp; &lt;more&gt;<\/div><p>/,
    );
    expect(compiled.html).toContain('<a href="{{ unsubscribe_url|safe }}"');
    expect(compiled.html).toMatch(/<img src="\{\{ _open_url\|safe \}\}"[^>]*><\/body><\/html>$/);
    expect(compiled.text).toContain('Go [https://example.org]');
    expect(compiled.text).toContain('Unsubscribe: {{ unsubscribe_url }}');
    expect(compiled.links).toEqual(['https://example.org']);
    expect(compiled.reads).toEqual({
      _click_base: null,
      _open_url: null,
      days: null,
      fields: ['plan', 'seats'],
      first_name: null,
      unsubscribe_url: null,
    });
    expect(compiled.execution).toBe('in-process');
  });

  it('adds nothing that was not asked for', () => {
    const compiled = compileContent({ subject: 's', html: source.html, text: 't' }, PLAIN);
    expect([compiled.html, compiled.text, compiled.links]).toEqual([source.html, 't', []]);
  });

  it('gives the same result for the same source, so that an approval can pin it', () => {
    expect(canonicalHash(compileContent(source, BULK))).toBe(canonicalHash(compileContent({ ...source }, { ...BULK })));
    expect(canonicalHash(compileContent(source, BULK))).not.toBe(canonicalHash(compileContent(source, PLAIN)));
  });

  it('survives malformed HTML', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 200 }),
        fc.array(fc.constantFrom('<', '>', '"', '{{', '}}', '<body>', '</body>', '<!--'), { maxLength: 10 }),
        (text, parts) => {
          const compiled = compileContent(
            { subject: text, html: parts.join(text.slice(0, 5)), previewText: text },
            BULK,
          );
          expect(compiled.html).toContain('_open_url');
        },
      ),
    );
  });
});
