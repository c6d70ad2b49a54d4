const { existsSync, readdirSync, readFileSync } = require('node:fs');
const { dirname, join, relative, resolve } = require('node:path');
const { parseSync } = require('@swc/core');

const ROOT = resolve(__dirname, '..', '..');

/** Whether an import or export statement is left after the types are stripped. */
function hasValues(statement) {
  if (statement.type === 'ExportAllDeclaration') return !statement.typeOnly;
  if (statement.typeOnly) return false;
  const { specifiers } = statement;
  return specifiers.length === 0 || specifiers.some((specifier) => !specifier.isTypeOnly);
}

/** What a TypeScript file imports at run time: module specifiers as written. */
function valueImports(file) {
  const { body } = parseSync(readFileSync(join(ROOT, file), 'utf8'), { syntax: 'typescript' });
  return body
    .filter((statement) => statement.source && hasValues(statement))
    .map((statement) => statement.source.value);
}

/** Path from the root of the file that a relative specifier means, or null. */
function fileOf(from, specifier) {
  if (!specifier.startsWith('.')) return null;
  const base = resolve(ROOT, dirname(from), specifier);
  const found = [`${base}.ts`, join(base, 'index.ts')].find((path) => existsSync(path));
  return found ? relative(ROOT, found) : null;
}

/** The product's TypeScript files directly in a folder. */
function filesIn(folder) {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => `${folder}/${name}`);
}

/** Everything that the given files load at run time, themselves included: file → specifiers that it imports. */
function loadedBy(files) {
  const seen = new Map();
  const waiting = [...files];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (seen.has(file)) continue;
    const specifiers = valueImports(file);
    seen.set(file, specifiers);
    waiting.push(...specifiers.map((specifier) => fileOf(file, specifier)).filter((path) => path !== null));
  }
  return seen;
}

/** A regular expression that matches exactly these paths; none when there are none. */
function exactly(paths) {
  return paths.length === 0 ? '(?!)' : `^(${paths.map((path) => path.replace(/[.]/g, '\\.')).join('|')})$`;
}

module.exports = { exactly, fileOf, filesIn, loadedBy };
