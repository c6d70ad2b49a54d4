import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationTable } from './configuration-table';
import { PROJECT } from './tsx';
import { verdictTable } from './verdict-table';

/** `node --import tsx dev/tables-main.ts`: brings the tables in docs/ that are made from the code up to date. */
function write(document: string, firstColumn: string, table: string): void {
  const path = join(PROJECT, 'docs', document);
  const known = new RegExp(`^\\| ${firstColumn}\\b[^\\n]*\\n(\\|[^\\n]*\\n)*`, 'm');
  writeFileSync(
    path,
    readFileSync(path, 'utf8').replace(known, () => `${table}\n`),
  );
}

write('configuration.md', 'Variable', configurationTable());
write('verdicts.md', 'Situation', verdictTable());
