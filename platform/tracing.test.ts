import { activeCarrier, isSampled, startSpan, startTracing, within, withSpan } from './tracing';

describe('without a collector', () => {
  test('nothing is recorded, and the work is done as if there were no tracing', async () => {
    const tracing = startTracing({ service: 'test', endpoint: undefined });
    const result = await withSpan('work', { attributes: { 'contact.id': 'x' } }, async (span) => {
      expect(span.isRecording()).toBe(false);
      expect(activeCarrier()).toBeNull();
      return 7;
    });
    expect(result).toBe(7);
    await expect(withSpan('work', {}, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    const span = startSpan('work', { parent: { traceparent: 'nonsense' } });
    expect(within(span, () => 'done')).toBe('done');
    span.end();
    await tracing.close();
  });
});

test('bulk is sampled by its ratio', () => {
  expect(Array.from({ length: 100 }, () => isSampled(0))).not.toContain(true);
  expect(Array.from({ length: 100 }, () => isSampled(1))).not.toContain(false);
  const some = Array.from({ length: 10_000 }, () => isSampled(0.5)).filter(Boolean).length;
  expect(some).toBeGreaterThan(4_000);
  expect(some).toBeLessThan(6_000);
});
