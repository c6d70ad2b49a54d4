import { type Segment, stringValue, type Token } from './jinja-lexer';
import type { TemplateAnalysis } from './references';

/**
 * The engine's fuel bounds how many instructions a template runs, not how much text each of them makes:
 * `{{ "x" * 1000000000 }}` is one instruction and a gigabyte, and so is a variable that is doubled thirty times. A
 * template runs inside the sending process only if its output is plainly no more than a small multiple of its source
 * and its data. Everything else still works, but in the thread pool, with a limit on time and memory.
 *
 * This is a short list of what is plainly harmless, not a proof for every harmless template.
 */
export type Execution = 'in-process' | 'isolated';

/** Tags that neither repeat nor keep text. `set`, `with` and `for` are looked at more closely. */
const PLAIN_TAGS: ReadonlySet<string> = new Set([
  ...['if', 'elif', 'else', 'endif', 'raw', 'endraw', 'autoescape', 'endautoescape', 'endfor', 'endwith'],
]);

/** Filters whose result is about as long as their input. `replace` and `join` are looked at more closely. */
const PLAIN_FILTERS: ReadonlySet<string> = new Set([
  ...['default', 'd', 'upper', 'lower', 'title', 'capitalize', 'trim', 'escape', 'e', 'safe', 'length', 'count'],
  ...['first', 'last', 'round', 'int', 'float', 'abs', 'string', 'bool', 'list', 'sort', 'reverse', 'unique', 'min'],
  ...['max', 'sum', 'tojson', 'urlencode', 'items', 'dictsort', 'map', 'select', 'reject', 'selectattr', 'rejectattr'],
  ...['groupby', 'attr', 'truncate', 'striptags', 'split', 'lines', 'pluralize', 'filesizeformat'],
]);

const PLAIN_METHODS: ReadonlySet<string> = new Set([
  ...['upper', 'lower', 'title', 'capitalize', 'strip', 'lstrip', 'rstrip', 'startswith', 'endswith', 'isdigit'],
  ...['split', 'splitlines', 'find', 'count', 'items', 'keys', 'values', 'get'],
]);

const MAX_LITERAL_FACTOR = 100;
const MAX_LITERAL_RANGE = 1_000;
const MAX_JOINER_LENGTH = 100;

export function classifyExecution(analysis: TemplateAnalysis): Execution {
  const loops: string[] = [];
  for (const segment of analysis.segments) {
    if (segment.kind === 'output' && grows(segment.tokens)) return 'isolated';
    if (segment.kind === 'statement' && statementGrows(segment, loops)) return 'isolated';
  }
  return 'in-process';
}

function statementGrows({ tokens }: Segment, loops: string[]): boolean {
  const [tag, ...rest] = tokens;
  switch (tag?.text) {
    case 'for':
      return forGrows(rest, loops) || grows(rest);
    case 'endfor':
      loops.pop();
      return false;
    case 'set':
    case 'with':
      // A value that is kept must not be longer than what it is made of: it could be doubled again and again.
      return !rest.some(({ text }) => text === '=') || rest.some(makesText) || grows(rest);
    default:
      return tag === undefined || (tag.text !== 'endwith' && !PLAIN_TAGS.has(tag.text)) || grows(rest);
  }
}

/** Nested loops multiply, unless the inner one runs over a part of the outer one's item. */
function forGrows(rest: readonly Token[], loops: string[]): boolean {
  const inIndex = rest.findIndex(({ kind, text }) => kind === 'name' && text === 'in');
  const over = rest[inIndex + 1]?.text ?? '';
  const nestedInSource = loops.length === 0 || loops.some((targets) => targets.split(' ').includes(over));
  loops.push(
    rest
      .slice(0, Math.max(inIndex, 0))
      .map(({ text }) => text)
      .join(' '),
  );
  return !nestedInSource || rest.some(({ text }) => text === 'recursive');
}

/** Whether an operator or filter joins texts into a longer one. */
function makesText({ kind, text }: Token): boolean {
  return kind === 'operator'
    ? text === '~' || text === '+' || text === '*' || text === '{' || text === '['
    : text === 'join' || text === 'replace';
}

function grows(tokens: readonly Token[]): boolean {
  return (
    tokens.some((token, index) => {
      const before = tokens[index - 1];
      const after = tokens[index + 1];
      if (token.kind === 'operator') return token.text === '*' && !isSmallNumber(before) && !isSmallNumber(after);
      if (token.kind !== 'name') return false;
      if (before?.text === '|') return !isPlainFilter(tokens, index);
      if (before?.text === '.') return after?.text === '(' && !PLAIN_METHODS.has(token.text);
      if (after?.text !== '(') return false;
      return isOrdinaryWord(token.text) ? false : !isSmallRange(tokens, index);
    }) || countOf(tokens, '*') > 1
  );
}

/** `{% if (a) %}`, `x in (…)`: a word before a bracket that is no call. */
function isOrdinaryWord(word: string): boolean {
  return ['if', 'elif', 'else', 'in', 'and', 'or', 'not', 'is', 'cycler', 'joiner'].includes(word);
}

function isPlainFilter(tokens: readonly Token[], index: number): boolean {
  const name = tokens[index]?.text ?? '';
  const args = tokens.slice(index + 1, index + 6);
  if (name === 'join') {
    return (
      args[0]?.text !== '(' ||
      (args[1]?.kind === 'string' && args[1].text.length <= MAX_JOINER_LENGTH && args[2]?.text === ')')
    );
  }
  if (name === 'replace') {
    const [open, from, comma, to, close] = args;
    if (open?.text !== '(' || comma?.text !== ',' || close?.text !== ')') return false;
    if (from?.kind !== 'string' || to?.kind !== 'string') return false;
    return stringValue(from).length > 0 && stringValue(to).length <= stringValue(from).length;
  }
  return PLAIN_FILTERS.has(name);
}

function isSmallNumber(token: Token | undefined): boolean {
  return token?.kind === 'number' && Number(token.text.replaceAll('_', '')) <= MAX_LITERAL_FACTOR;
}

function isSmallRange(tokens: readonly Token[], index: number): boolean {
  const close = tokens.findIndex(({ text }, at) => at > index && text === ')');
  const args = tokens.slice(index + 2, close < 0 ? tokens.length : close);
  return (
    tokens[index]?.text === 'range' &&
    args.every(
      ({ kind, text }) => text === ',' || (kind === 'number' && Number(text.replaceAll('_', '')) <= MAX_LITERAL_RANGE),
    )
  );
}

function countOf(tokens: readonly Token[], operator: string): number {
  return tokens.filter(({ kind, text }) => kind === 'operator' && text === operator).length;
}
