import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationTable } from './configuration-table';
import { PROJECT } from './tsx';

/** `node --import tsx dev/configuration-table-main.ts`: brings the table in docs/configuration.md up to date. */
const path = join(PROJECT, 'docs', 'configuration.md');
const table = /^\| Variable\b[^\n]*\n(\|[^\n]*\n)*/m;
writeFileSync(
  path,
  readFileSync(path, 'utf8').replace(table, () => `${configurationTable()}\n`),
);
