import fc from 'fast-check';
import { enhancedCode, type Reply, ReplyParser, ReplySyntaxError, replyText } from './reply-parser';

function parse(chunks: string[]): Reply[] {
  const parser = new ReplyParser();
  const replies: Reply[] = [];
  for (const chunk of chunks) {
    parser.push(chunk, (reply) => {
      replies.push(reply);
      return true;
    });
  }
  return replies;
}

test('single and multi-line replies', () => {
  expect(parse(['220 hi\r\n250-one\r\n250-two\r\n250 three\r\n354\r\n'])).toEqual([
    { code: 220, text: 'hi' },
    { code: 250, text: 'one\ntwo\nthree' },
    { code: 354, text: '' },
  ]);
});

test('however the bytes are cut, the replies are the same', () => {
  const stream = '220 hi\r\n250-one\r\n250 two\r\n550 5.1.1 no\n354 go\r\n';
  const whole = parse([stream]);
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length), { maxLength: 8 }), (cuts) => {
      const points = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const chunks = points.slice(1).map((point, index) => stream.slice(points[index], point));
      expect(parse(chunks)).toEqual(whole);
    }),
  );
});

test.each([
  'HTTP/1.1 400 Bad Request\r\n',
  '25 short\r\n',
  '199 too low\r\n',
  '600 too high\r\n',
  '250_underscore\r\n',
  '\r\n',
  '250-one\r\n550 other code\r\n',
  'x'.repeat(5000),
  `250 ${'x'.repeat(5000)}\r\n`,
  '250-again\r\n'.repeat(300),
])('garbage is refused: %.30j', (garbage) => {
  expect(() => parse([garbage])).toThrow(ReplySyntaxError);
});

test('what follows after the listener has had enough is dropped', () => {
  const parser = new ReplyParser();
  const seen: number[] = [];
  const listener = (reply: Reply): boolean => {
    seen.push(reply.code);
    return reply.code !== 421;
  };
  parser.push('250 a\r\n421 bye\r\n250 b\r\n25', listener);
  parser.push('250 c\r\n', listener);
  expect(seen).toEqual([250, 421, 250]);
});

test('text for people is one bounded line in UTF-8', () => {
  const latin1 = Buffer.from('Postfach für Ünal', 'utf8').toString('latin1');
  expect(replyText({ code: 550, text: `5.1.1 ${latin1}\nzwei` })).toBe('550 5.1.1 Postfach für Ünal / zwei');
  expect(replyText({ code: 550, text: 'x'.repeat(4000) })).toHaveLength(500);
});

test('enhanced codes', () => {
  expect(enhancedCode({ code: 550, text: '5.1.10 no' })).toBe('5.1.10');
  expect(enhancedCode({ code: 550, text: '5.7.1' })).toBe('5.7.1');
  expect(enhancedCode({ code: 550, text: 'no 5.1.1' })).toBeNull();
  expect(enhancedCode({ code: 550, text: '5.1.1.2 x' })).toBeNull();
});
