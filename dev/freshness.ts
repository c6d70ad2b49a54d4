import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from './tsx';

/** Time of the newest of these files and folders of the project, ms since 1970, tests left out; 0 when none exists. */
export function newestSource(sources: readonly string[]): number {
  return Math.max(0, ...sources.map((source) => newest(join(PROJECT, source))));
}

function newest(path: string): number {
  if (!existsSync(path)) return 0;
  const found = statSync(path);
  if (!found.isDirectory()) return found.mtimeMs;
  let time = 0;
  for (const name of readdirSync(path)) {
    if (!name.endsWith('.test.ts')) time = Math.max(time, newest(join(path, name)));
  }
  return time;
}
