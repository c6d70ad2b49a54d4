import { judge } from './report';

const repeat = (operation: string): string => `again ${operation}`;
const lines = (...list: unknown[]): string => list.map((line) => `${JSON.stringify(line)}\n`).join('');
const answer = (operation: string, status: number) => ({ operation, status });

describe('the verdict of a contract test', () => {
  test('is good when nothing failed and nine of ten operations reached a success', () => {
    const operations = Array.from({ length: 10 }, (_, index) => `operation${index}`);
    const sent = operations.map((operation, index) => answer(operation, index === 0 ? 404 : 200));
    const { ok, text } = judge(lines(...sent), operations, repeat);
    expect(ok).toBe(true);
    expect(text).toContain('Never answered with success: operation0\n');
    expect(text).toContain(
      '10 requests to 10 operations (at least 1 each, median 1); 9 operations answered with success.',
    );
    expect(text).toContain('Answers: 9 × 200, 1 × 404.');
  });

  test('is bad when fewer did, or one got no request', () => {
    expect(judge(lines(answer('a', 200), answer('b', 404)), ['a', 'b'], repeat).ok).toBe(false);
    const { ok, text } = judge(lines(answer('a', 200)), ['a', 'b'], repeat);
    expect(ok).toBe(false);
    expect(text).toContain('Not a single request was sent to: b\n');
  });

  test('names each kind of failure once, with its request, its answer and how to repeat it', () => {
    const failure = {
      title: 'Server error',
      message: null,
      method: 'POST',
      url: 'http://127.0.0.1/a',
      contentType: 'application/json',
      body: '{"n": 1}',
      answer: 'oh',
    };
    const failed = { ...answer('a', 500), failure };
    const { ok, text } = judge(lines(answer('a', 200), answer('a', 500), failed, failed), ['a'], repeat);
    expect(ok).toBe(false);
    expect(text.split('\n').slice(0, 5)).toEqual([
      '✗ a: 500, Server error (2 times)',
      '    POST http://127.0.0.1/a',
      '    application/json: {"n": 1}',
      '    answered: oh',
      '    repeat: again a',
    ]);
    expect(text).toContain('2 requests to 1 operations');
  });
});
