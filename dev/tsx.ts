import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The project's folder. */
export const PROJECT = resolve(__dirname, '..');

/** Arguments with which Node runs one of the project's TypeScript files, in any working directory. */
export function tsxArguments(file: string, ...args: string[]): string[] {
  return ['--import', pathToFileURL(require.resolve('tsx')).href, resolve(PROJECT, file), ...args];
}
