import fc from 'fast-check';
import { isWireClean, toChunk, toWire, wireBound } from './wire';

/** What a receiving server makes of the bytes between 354 and the lone dot (RFC 5321 section 4.5.2). */
function receive(wire: Buffer): string {
  return wire
    .toString('latin1')
    .split('\r\n')
    .map((line) => (line.startsWith('.') ? line.slice(1) : line))
    .join('\r\n');
}

const normalised = (text: string): string => {
  const crlf = text.replace(/\r\n|\r|\n/g, '\r\n');
  return crlf.endsWith('\r\n') ? crlf : `${crlf}\r\n`;
};

/** Text dense in dots and line ends of all kinds. */
const nasty = fc
  .array(
    fc.constantFrom('.', '..', '\r', '\n', '\r\n', '\r\n', '\t', 'a', 'Zeile', '\u00e4\u00ff', '.\r\n', '\r\n.\r\n'),
    {
      maxLength: 60,
    },
  )
  .map((parts) => parts.join(''));

test('a clean message is passed on without a copy', () => {
  const content = Buffer.from('Subject: a\r\n\r\nText.\r\n');
  expect(toWire(content)).toBe(content);
});

test.each([
  ['a dot at the start', '.a\r\n', '..a\r\n'],
  ['a lone dot', 'a\r\n.\r\nb\r\n', 'a\r\n..\r\nb\r\n'],
  ['a bare LF before a dot', 'a\n.\nb', 'a\r\n..\r\nb\r\n'],
  ['a bare CR before a dot', 'a\r.\rb\r\n', 'a\r\n..\r\nb\r\n'],
  ['LF CR', 'a\n\rb\r\n', 'a\r\n\r\nb\r\n'],
  ['CR CR LF', 'a\r\r\nb\r\n', 'a\r\n\r\nb\r\n'],
  ['no last line end', 'a', 'a\r\n'],
  ['nothing', '', '\r\n'],
  ['a CR at the very end', 'a\r', 'a\r\n'],
])('%s', (_name, content, wire) => {
  expect(toWire(Buffer.from(content)).toString()).toBe(wire);
});

test('whatever goes in, the receiver gets it with CR LF, and nothing ends the message early', () => {
  fc.assert(
    fc.property(nasty, (text) => {
      const content = Buffer.from(text, 'latin1');
      const wire = toWire(content);
      expect(receive(wire)).toBe(normalised(text));
      const sent = wire.toString('latin1');
      expect(`\r\n${sent}`).not.toContain('\r\n.\r\n');
      expect(sent).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
      expect(wire.length).toBeLessThanOrEqual(wireBound(content));
      expect(isWireClean(wire)).toBe(!/(^|\r\n)\./.test(sent));
      // The check looks at whole words, so it must not depend on where the content lies in memory.
      for (let shift = 1; shift < 4; shift++) {
        const moved = Buffer.concat([Buffer.alloc(shift), content]).subarray(shift);
        expect(isWireClean(moved)).toBe(isWireClean(content));
        expect(isWireClean(moved)).toBe(content.length > 1 && toWire(content) === content);
      }
    }),
    { numRuns: 2000 },
  );
});

test('behind BDAT line ends are CR LF and dots are left alone', () => {
  fc.assert(
    fc.property(nasty, (text) => {
      expect(toChunk(Buffer.from(text, 'latin1')).toString('latin1')).toBe(normalised(text));
    }),
  );
  const content = Buffer.from('Subject: a\r\n\r\nText.\r\n');
  expect(toChunk(content)).toBe(content);
});
