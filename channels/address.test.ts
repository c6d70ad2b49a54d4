import fc from 'fast-check';
import { wireAddress } from './address';

test.each([
  ['ada@example.com', 'ada@example.com', false],
  ["o'neil+news@mail.example.com", "o'neil+news@mail.example.com", false],
  ['a..b.@docomo.example', 'a..b.@docomo.example', false],
  ['"a,b"@example.com', '"a,b"@example.com', false],
  ['a@[127.0.0.1]', 'a@[127.0.0.1]', false],
  ['ada@BÜCHER.example', 'ada@xn--bcher-kva.example', false],
  ['jörg@bücher.example', 'jörg@xn--bcher-kva.example', true],
  ['用户@例え.jp', '用户@xn--r8jz45g.jp', true],
])('%s goes out as %s', (given, address, needsSmtpUtf8) => {
  expect(wireAddress(given)).toEqual({ ok: true, address, needsSmtpUtf8 });
});

test.each([
  '',
  'plain',
  '@x.example',
  'a@',
  'a b@x.example',
  '"a b"@x.example',
  'a@x.example\r\nRCPT TO:<b@y.example>',
  'a>@x.example',
  'a,b@x.example',
  'a@x.example,b@y.example',
  'a@x@y.example',
  'a\u0000@x.example',
  'a\u2028b@x.example',
  '"a"b"@x.example',
  `${'a'.repeat(400)}@x.example`,
])('refused: %j', (given) => {
  expect(wireAddress(given)).toEqual({ ok: false });
});

test('nothing that passes can end a command or split a list', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (local, domain) => {
      const wire = wireAddress(`${local}@${domain}`);
      expect(wire.ok && /[\r\n\0<> ]/.test(wire.address)).toBe(false);
    }),
    { numRuns: 2000 },
  );
});
