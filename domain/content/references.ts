import { lexTemplate, type Segment, stringValue, type Token } from './jinja-lexer';

/** A use of a variable that the template does not bind itself (by for, set, with, macro or call). */
export interface Reference {
  /** `fields.plan` and `fields["plan"]` are ['fields', 'plan']; what follows a computed index is left out. */
  readonly path: readonly string[];
  readonly start: number;
  readonly end: number;
  /** Its absence is provided for: `default(…)`, `is defined`, `or`, or it is itself the condition of an `if`. */
  readonly optional: boolean;
  /** Rendered for every recipient: written out, and inside no if, for, macro or other block. */
  readonly unconditional: boolean;
}

export interface TemplateAnalysis {
  readonly segments: readonly Segment[];
  readonly references: readonly Reference[];
  /** Filters and tests, each with the place of its first use. */
  readonly filters: ReadonlyMap<string, Token>;
  readonly tests: ReadonlyMap<string, Token>;
  readonly statements: readonly { readonly tag: string; readonly token: Token }[];
}

const KEYWORDS: ReadonlySet<string> = new Set([
  ...['and', 'or', 'not', 'is', 'in', 'if', 'else', 'recursive', 'true', 'false', 'none', 'True', 'False', 'None'],
]);

/** The engine's own functions. */
export const GLOBAL_FUNCTIONS: ReadonlySet<string> = new Set(['range', 'dict', 'namespace', 'cycler', 'joiner']);

/** Tags that open a scope of names, and those that close it. */
const SCOPE_CLOSERS: ReadonlySet<string> = new Set(['endfor', 'endwith', 'endmacro', 'endcall']);
const BLOCK_OPENERS: ReadonlySet<string> = new Set([
  'if',
  'for',
  'macro',
  'call',
  'with',
  'filter',
  'block',
  'autoescape',
]);

/** Finds what a template refers to. Works on templates with syntax errors too, as far as they can be read. */
export function analyseTemplate(source: string): TemplateAnalysis {
  const analysis = new Analysis();
  const segments = lexTemplate(source);
  for (const segment of segments) {
    if (segment.kind === 'output') analysis.expression(segment.tokens, true);
    else if (segment.kind === 'statement') analysis.statement(segment.tokens);
  }
  return { segments, ...analysis.result };
}

class Analysis {
  readonly result = {
    references: [] as Reference[],
    filters: new Map<string, Token>(),
    tests: new Map<string, Token>(),
    statements: [] as { tag: string; token: Token }[],
  };
  private readonly scopes: Set<string>[] = [new Set()];
  private depth = 0;

  statement(tokens: readonly Token[]): void {
    const [tagToken, ...rest] = tokens;
    if (tagToken === undefined || tagToken.kind !== 'name') return;
    const tag = tagToken.text;
    this.result.statements.push({ tag, token: tagToken });
    this.readStatement(tag, rest);
    if (BLOCK_OPENERS.has(tag) || (tag === 'set' && topLevelIndex(rest, '=') < 0)) this.depth += 1;
    else if (tag.startsWith('end') && tag !== 'endraw') this.depth = Math.max(0, this.depth - 1);
    if (SCOPE_CLOSERS.has(tag) && this.scopes.length > 1) this.scopes.pop();
  }

  private readStatement(tag: string, rest: readonly Token[]): void {
    switch (tag) {
      case 'for':
        this.forStatement(rest);
        return;
      case 'set':
        this.setStatement(rest);
        return;
      case 'with':
        this.withStatement(rest);
        return;
      case 'macro':
        this.macroStatement(rest);
        return;
      case 'call': {
        const args = rest[0]?.text === '(' ? closingIndex(rest, 0) + 1 : 0;
        this.expression(rest.slice(args), false);
        this.scopes.push(parameterNames(rest.slice(0, args)));
        return;
      }
      case 'filter':
        // The tag's name is a filter, written without its bar.
        if (rest[0] !== undefined) this.note(this.result.filters, rest[0]);
        this.expression(rest.slice(1), false);
        return;
      case 'if':
      case 'elif':
        this.expression(rest, false, true);
        return;
      case 'block':
      case 'raw':
        return;
      default:
        if (!tag.startsWith('end')) this.expression(rest, false);
    }
  }

  private forStatement(rest: readonly Token[]): void {
    const inIndex = topLevelIndex(rest, 'in');
    const source = inIndex < 0 ? rest : rest.slice(inIndex + 1);
    const condition = topLevelIndex(source, 'if');
    this.expression(condition < 0 ? source : source.slice(0, condition), false);
    const targets = rest.slice(0, Math.max(inIndex, 0)).filter(({ kind }) => kind === 'name');
    this.scopes.push(new Set(['loop', ...targets.map(({ text }) => text)]));
    if (condition >= 0) this.expression(source.slice(condition + 1), false, true);
  }

  private setStatement(rest: readonly Token[]): void {
    const equals = topLevelIndex(rest, '=');
    const bar = topLevelIndex(rest, '|');
    const targetsEnd = equals >= 0 ? equals : bar >= 0 ? bar : rest.length;
    if (equals >= 0) this.expression(rest.slice(equals + 1), false);
    else if (bar >= 0) this.expression(rest.slice(bar), false);
    const targets = rest.slice(0, targetsEnd);
    // {% set ns.total = … %} changes an object that exists.
    if (targets[1]?.text === '.') {
      this.expression(targets, false);
      return;
    }
    for (const { kind, text } of targets) if (kind === 'name') this.scopes.at(-1)?.add(text);
  }

  private withStatement(rest: readonly Token[]): void {
    const names = new Set<string>();
    let from = 0;
    while (from < rest.length) {
      const comma = topLevelIndex(rest, ',', from);
      const assignment = rest.slice(from, comma < 0 ? rest.length : comma);
      const equals = topLevelIndex(assignment, '=');
      this.expression(assignment.slice(equals + 1), false);
      for (const { kind, text } of assignment.slice(0, Math.max(equals, 0))) if (kind === 'name') names.add(text);
      from = comma < 0 ? rest.length : comma + 1;
    }
    this.scopes.push(names);
  }

  private macroStatement(rest: readonly Token[]): void {
    if (rest[0] !== undefined) this.scopes.at(-1)?.add(rest[0].text);
    const parameters = rest.slice(1);
    this.scopes.push(new Set([...parameterNames(parameters), 'caller', 'varargs', 'kwargs']));
    let from = 0;
    for (
      let equals = topLevelIndex(parameters, '=', 1, 1);
      equals >= 0;
      equals = topLevelIndex(parameters, '=', from, 1)
    ) {
      const comma = topLevelIndex(parameters, ',', equals, 1);
      from = comma < 0 ? parameters.length : comma;
      this.expression(parameters.slice(equals + 1, from), false);
    }
  }

  /** @param written whether the expression's value goes into the output */
  expression(tokens: readonly Token[], written: boolean, condition = false): void {
    const unconditional = written && this.depth === 0 && topLevelIndex(tokens, 'if') < 0;
    for (let index = 0; index < tokens.length; index += 1) {
      const token = tokens[index];
      if (token === undefined || token.kind !== 'name') continue;
      const before = tokens[index - 1]?.text;
      if (before === '.') continue;
      if (before === '|') {
        this.note(this.result.filters, token);
        continue;
      }
      if (before === 'is' || (before === 'not' && tokens[index - 2]?.text === 'is')) {
        if (token.text !== 'not') this.note(this.result.tests, token);
        continue;
      }
      const isKeywordArgument = tokens[index + 1]?.text === '=' && (before === '(' || before === ',');
      if (KEYWORDS.has(token.text) || isKeywordArgument || this.isBound(token.text)) continue;
      const { path, next } = readPath(tokens, index);
      const end = tokens[next - 1]?.end ?? token.end;
      const optional = condition || isProvidedFor(tokens, next);
      this.result.references.push({ path, start: token.start, end, optional, unconditional });
    }
  }

  private isBound(name: string): boolean {
    return GLOBAL_FUNCTIONS.has(name) || this.scopes.some((scope) => scope.has(name));
  }

  private note(places: Map<string, Token>, token: Token): void {
    if (!places.has(token.text)) places.set(token.text, token);
  }
}

function readPath(tokens: readonly Token[], start: number): { path: string[]; next: number } {
  const path = [tokens[start]?.text ?? ''];
  let next = start + 1;
  for (;;) {
    const [first, second, third] = tokens.slice(next, next + 3);
    if (first?.text === '.' && second?.kind === 'name' && third?.text !== '(') {
      path.push(second.text);
      next += 2;
    } else if (first?.text === '[' && second?.kind === 'string' && third?.text === ']') {
      path.push(stringValue(second));
      next += 3;
    } else {
      return { path, next };
    }
  }
}

function isProvidedFor(tokens: readonly Token[], next: number): boolean {
  const [first, second, third] = tokens.slice(next, next + 3);
  if (first?.text === '|') return second?.text === 'default' || second?.text === 'd';
  if (first?.text === 'or') return true;
  if (first?.text !== 'is') return false;
  const test = second?.text === 'not' ? third : second;
  return test !== undefined && ['defined', 'undefined', 'none'].includes(test.text);
}

function parameterNames(tokens: readonly Token[]): Set<string> {
  const names = tokens.filter(
    ({ kind }, index) => kind === 'name' && ['(', ','].includes(tokens[index - 1]?.text ?? ''),
  );
  return new Set(names.map(({ text }) => text));
}

/** The index of a token outside of all brackets (or inside of `depth` of them), or -1. */
function topLevelIndex(tokens: readonly Token[], text: string, from = 0, depth = 0): number {
  let level = 0;
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (token === undefined || token.kind === 'string') continue;
    if (token.text === ')' || token.text === ']' || token.text === '}') level -= 1;
    if (index >= from && level === depth && token.text === text) return index;
    if (token.text === '(' || token.text === '[' || token.text === '{') level += 1;
  }
  return -1;
}

function closingIndex(tokens: readonly Token[], open: number): number {
  const index = topLevelIndex(tokens, ')', open + 1, 0);
  return index < 0 ? tokens.length : index;
}
