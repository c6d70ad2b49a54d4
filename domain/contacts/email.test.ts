import * as fc from 'fast-check';
import { normaliseDomain, normaliseEmail } from './email';

describe('normaliseEmail', () => {
  it.each([
    ['ada@example.org', 'ada@example.org'],
    ['  Ada.Lovelace@EXAMPLE.Org ', 'ada.lovelace@example.org'],
    ['\ufeffada@example.org\u00a0', 'ada@example.org'],
    ['ada+news@example.org', 'ada+news@example.org'],
    ['user@bücher.example', 'user@xn--bcher-kva.example'],
    ['user@BÜCHER.example', 'user@xn--bcher-kva.example'],
    ['user@xn--bcher-kva.example', 'user@xn--bcher-kva.example'],
    ['Дарья@example.org', 'дарья@example.org'],
    ['李@例え.jp', '李@xn--r8jz45g.jp'],
    ['jose\u0301@example.org', 'josé@example.org'],
    ["o'neil@example.org", "o'neil@example.org"],
    ['a@b.co', 'a@b.co'],
  ])('%j is %s', (input, email) => {
    expect(normaliseEmail(input)).toMatchObject({ ok: true, email });
  });

  it('shows the domain in Unicode and the local part as written', () => {
    expect(normaliseEmail('Ada@xn--bcher-kva.example')).toMatchObject({
      display: 'Ada@bücher.example',
      domain: 'xn--bcher-kva.example',
    });
  });

  it.each([
    ['', 'EMPTY'],
    ['   ', 'EMPTY'],
    ['Ada <a@b.co>', 'DISPLAY_NAME'],
    ['"ada"@example.org', 'DISPLAY_NAME'],
    ['ada@[192.0.2.1]', 'DISPLAY_NAME'],
    ['mailto:ada@example.org', 'DISPLAY_NAME'],
    ['a@b.co, c@d.co', 'DISPLAY_NAME'],
    ['user at example.org', 'SPACE'],
    ['ada lovelace@example.org', 'SPACE'],
    ['ada@exam\u00a0ple.org', 'SPACE'],
    ['ada@example.org\r\nBcc: eve@example.org', 'CONTROL_CHARACTER'],
    ['ada\u0000@example.org', 'CONTROL_CHARACTER'],
    ['ada', 'NO_AT_SIGN'],
    ['a@b@example.org', 'SEVERAL_AT_SIGNS'],
    ['@example.org', 'LOCAL_PART'],
    ['.ada@example.org', 'LOCAL_PART'],
    ['ada.@example.org', 'LOCAL_PART'],
    ['a..da@example.org', 'LOCAL_PART'],
    ['a\u200bda@example.org', 'LOCAL_PART'],
    ['a\ud800da@example.org', 'LOCAL_PART'],
    ['ada@', 'DOMAIN'],
    ['ada@localhost', 'DOMAIN'],
    ['ada@example.org.', 'DOMAIN'],
    ['ada@.org', 'DOMAIN'],
    ['ada@exa_mple.org', 'DOMAIN'],
    ['ada@-example.org', 'DOMAIN'],
    ['ada@192.0.2.1', 'DOMAIN'],
    ['ada@0x7f.1', 'DOMAIN'],
    ['ada@exa%6dple.org', 'DOMAIN'],
    ['ada@xn--a.org', 'DOMAIN'],
    [`${'a'.repeat(65)}@example.org`, 'TOO_LONG'],
    [`${'ä'.repeat(33)}@example.org`, 'TOO_LONG'],
    [`${'a'.repeat(64)}@${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(60)}.org`, 'TOO_LONG'],
    ['a'.repeat(1_000_000), 'TOO_LONG'],
  ])('refuses %j', (input, reason) => {
    expect(normaliseEmail(input)).toMatchObject({ ok: false, reason });
  });

  it('is idempotent, and its result is bounded, lower-case and one line', () => {
    const locals = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
    const domains = fc.oneof(fc.domain(), fc.constantFrom('Bücher.example', 'FAẞ.de', 'İstanbul.example', '例え。jp'));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.emailAddress(),
          fc.tuple(locals, domains).map((parts) => parts.join('@')),
        ),
        (input) => {
          const first = normaliseEmail(input);
          if (!first.ok) return;
          expect(normaliseEmail(first.email)).toMatchObject({ ok: true, email: first.email });
          expect(normaliseEmail(first.display)).toMatchObject({ ok: true, email: first.email });
          expect(Buffer.byteLength(first.email)).toBeLessThanOrEqual(254);
          expect(first.email).toBe(first.email.toLowerCase());
          expect(first.email).not.toMatch(/[\s<>"\0]/);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (input) => {
        expect(typeof normaliseEmail(input).ok).toBe('boolean');
      }),
    );
  });
});

describe('normaliseDomain', () => {
  it('accepts ordinary addresses of fast-check', () => {
    fc.assert(fc.property(fc.domain(), (domain) => expect(normaliseDomain(domain)).toBe(domain.toLowerCase())));
  });
});
