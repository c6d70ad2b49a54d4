/**
 * A lexer for Jinja templates, as MiniJinja reads them. It exists because the engine's binding gives no access to its
 * syntax tree, and because HTML can only be parsed safely when one knows which characters are Jinja.
 */

export interface Token {
  readonly kind: 'name' | 'string' | 'number' | 'operator';
  readonly text: string;
  /** Positions in the source, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

export interface Segment {
  /** `text` stands for itself; `output` is {{ … }}, `statement` {% … %}, `comment` {# … #}. */
  readonly kind: 'text' | 'output' | 'statement' | 'comment';
  readonly start: number;
  readonly end: number;
  /** Of outputs and statements. */
  readonly tokens: readonly Token[];
}

const NO_TOKENS: readonly Token[] = [];
const OPENER = /\{[{%#]/g;
const TOKEN =
  /\s+|([A-Za-z_][A-Za-z0-9_]*)|("(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*')|(0[xXoObB][0-9a-fA-F_]+|\d+(?:_\d+)*(?:\.\d+)?(?:[eE][+-]?\d+)?)|(\*\*|\/\/|==|!=|<=|>=|[^\s])/gy;

/** Splits a template into segments that together cover it. What is not closed reaches to the end; nothing throws. */
export function lexTemplate(source: string): Segment[] {
  const segments: Segment[] = [];
  let at = 0;
  while (at < source.length) {
    OPENER.lastIndex = at;
    const opener = OPENER.exec(source);
    const start = opener?.index ?? source.length;
    if (start > at) segments.push({ kind: 'text', start: at, end: start, tokens: NO_TOKENS });
    if (opener === null) break;
    const segment = lexSegment(source, start, opener[0]);
    segments.push(segment);
    at = segment.end;
    if (segment.kind === 'statement' && segment.tokens[0]?.text === 'raw') {
      const end = endOfRaw(source, at);
      if (end > at) segments.push({ kind: 'text', start: at, end, tokens: NO_TOKENS });
      at = end;
    }
  }
  return segments;
}

/** 1-based line and column (in UTF-16 units) of a position. */
export function lineAndColumn(source: string, position: number): { line: number; column: number } {
  let line = 1;
  let lineStart = 0;
  for (let at = source.indexOf('\n'); at >= 0 && at < position; at = source.indexOf('\n', at + 1)) {
    line += 1;
    lineStart = at + 1;
  }
  return { line, column: position - lineStart + 1 };
}

/** What a string token says, without quotes. Escapes other than of quotes and backslashes are left as they are. */
export function stringValue(token: Token): string {
  return token.text.slice(1, -1).replace(/\\(["'\\])/g, '$1');
}

function lexSegment(source: string, start: number, opener: string): Segment {
  switch (opener) {
    case '{#': {
      const close = source.indexOf('#}', start + 2);
      return { kind: 'comment', start, end: close < 0 ? source.length : close + 2, tokens: NO_TOKENS };
    }
    case '{{':
      return lexCode(source, start, 'output', '}}');
    default:
      return lexCode(source, start, 'statement', '%}');
  }
}

function lexCode(source: string, start: number, kind: 'output' | 'statement', closer: string): Segment {
  const tokens: Token[] = [];
  let depth = 0;
  let at = start + 2;
  // Whitespace control: {%- and {%+.
  if (source[at] === '-' || source[at] === '+') at += 1;
  while (at < source.length) {
    // A closing brace inside a dict literal is no end: {{ {"a": {"b": 1}} }}.
    if (depth === 0) {
      if (source.startsWith(closer, at)) return { kind, start, end: at + 2, tokens };
      if ((source[at] === '-' || source[at] === '+') && source.startsWith(closer, at + 1)) {
        return { kind, start, end: at + 3, tokens };
      }
    }
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(source);
    if (match === null) break;
    const end = TOKEN.lastIndex;
    const token = tokenOf(match, at, end);
    if (token !== null) {
      tokens.push(token);
      if (token.text === '{' || token.text === '(' || token.text === '[') depth += 1;
      else if ((token.text === '}' || token.text === ')' || token.text === ']') && depth > 0) depth -= 1;
    }
    at = end;
  }
  return { kind, start, end: source.length, tokens };
}

function tokenOf(match: RegExpExecArray, start: number, end: number): Token | null {
  const text = match[0];
  if (match[1] !== undefined) return { kind: 'name', text, start, end };
  if (match[2] !== undefined) return { kind: 'string', text, start, end };
  if (match[3] !== undefined) return { kind: 'number', text, start, end };
  return match[4] === undefined ? null : { kind: 'operator', text, start, end };
}

function endOfRaw(source: string, from: number): number {
  const close = /\{%[-+]?\s*endraw\s*[-+]?%\}/g;
  close.lastIndex = from;
  return close.exec(source)?.index ?? source.length;
}
