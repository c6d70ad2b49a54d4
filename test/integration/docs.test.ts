import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { verdictTable } from '../../dev/verdict-table';

const ROOT = join(__dirname, '..', '..');
const DOCUMENTS = ['README.md', ...listMarkdown('docs')];

function listMarkdown(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return listMarkdown(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s-]/gu, '')
    .trim()
    .replaceAll(' ', '-');

describe('the documents', () => {
  test.each(DOCUMENTS)('%s has no dead link', (document) => {
    const links = [...read(document).matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map((match) => match[1] ?? '');
    const dead = links.filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : join(dirname(document), path);
      if (!existsSync(join(ROOT, target))) return true;
      if (anchor === undefined || !target.endsWith('.md')) return false;
      const headings = [...read(target).matchAll(/^#+ (.+)$/gm)].map((match) => anchorOf(match[1] ?? ''));
      return !headings.includes(anchor);
    });
    expect(dead).toEqual([]);
  });

  test('docs/map.md names files that exist, from the API to the socket', () => {
    const text = read('docs/map.md');
    const paths = [
      ...text.matchAll(/`((?:platform|domain|db|channels|activities|workflows|api|dev|test)\/[^`\s<>*]+)`/g),
    ];
    const named = paths.map((match) => match[1] ?? '');
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    expect(named).toEqual(
      expect.arrayContaining(['api/delivery/transactional.ts', 'channels/smtp/chunked-pipeline.ts']),
    );
  });

  test('docs/verdicts.md has the table as the function answers (dev/tables-main.ts writes it)', () => {
    const table = verdictTable();
    expect(read('docs/verdicts.md')).toContain(table);
    // The first row is the one that nothing speaks against; every other one stops some class.
    const [, , clear = '', ...others] = table.split('\n');
    expect(clear.match(/goes/g)).toHaveLength(5);
    expect(others.filter((row) => !/(fails|waits|cancelled): /.test(row))).toEqual([]);
  });

  test('docs/map.md names only functions that exist where it says', () => {
    for (const [name, file] of [
      ['enqueueDelivery', 'db/delivery/enqueue.ts'],
      ['drainLane', 'activities/delivery/index.ts'],
      ['judge', 'domain/delivery/verdict.ts'],
      ['settle', 'domain/delivery/outcome.ts'],
    ] as const) {
      expect(read('docs/map.md')).toContain(`\`${name}\``);
      expect(read(file)).toMatch(new RegExp(`function ${name}\\b`));
    }
  });
});
