import { counted, Narrator, thousands } from './narrator';

function stage(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  return { written, narrator: new Narrator({ write: (text) => written.push(text), isTTY, columns }) };
}

describe('a progress bar', () => {
  it('is a line for each quarter where the output is no terminal', () => {
    const { narrator, written } = stage(false);
    const bar = narrator.bar('Sending', 1_000);
    for (let done = 0; done <= 1_000; done += 10) bar.set(done, 'sending');
    bar.end('finished');
    expect(written.map((line) => /([\d,]+ of 1,000 .*)\n$/.exec(line)?.[1])).toEqual([
      '250 of 1,000  sending',
      '500 of 1,000  sending',
      '750 of 1,000  sending',
      '1,000 of 1,000  sending',
      '1,000 of 1,000  finished',
    ]);
  });

  it('is drawn over itself on a terminal, and never wider than it', () => {
    const { narrator, written } = stage(true, 40);
    const bar = narrator.bar('Sending', 3);
    bar.set(1);
    bar.set(1);
    bar.set(2, 'a long note that does not fit beside the bar');
    expect(written).toHaveLength(2);
    for (const line of written) {
      expect(line.startsWith('\r')).toBe(true);
      expect(line.slice(1, line.indexOf('\x1b')).length).toBeLessThan(40);
    }
    bar.end();
    expect(written.at(-1)?.endsWith('\n')).toBe(true);
  });

  it('is full when there is nothing to do', () => {
    const { narrator, written } = stage(false);
    const bar = narrator.bar('Import', 0);
    bar.set(0);
    bar.end();
    expect(written).toEqual([`   Import ${'█'.repeat(30)} 0 of 0\n`]);
  });
});

test('numbers are written for people', () => {
  expect([0, 999, 1_000, 4_921, 1_234_567].map(thousands)).toEqual(['0', '999', '1,000', '4,921', '1,234,567']);
  expect([counted(1, 'row'), counted(2_000, 'row'), counted(3, 'address', 'addresses')]).toEqual([
    '1 row',
    '2,000 rows',
    '3 addresses',
  ]);
});
