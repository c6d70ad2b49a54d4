import type { ContentSource } from './compile';
import { BUILT_IN_VARIABLES } from './context';
import { ContentError, isKnownFilter, isKnownTest, syntaxError } from './engine';
import { MAX_HEADER_OCTETS } from './header-text';
import { lineAndColumn, type Token } from './jinja-lexer';
import { analyseTemplate, type TemplateAnalysis } from './references';

export const CONTENT_PARTS = ['subject', 'html', 'text', 'previewText'] as const;
export type ContentPart = (typeof CONTENT_PARTS)[number];

export interface LintFinding {
  readonly code:
    | 'TOO_LARGE'
    | 'TOO_EXPENSIVE'
    | 'UNSTORABLE_CHARACTER'
    | 'LINE_BREAK'
    | 'SYNTAX'
    | 'FORBIDDEN_TAG'
    | 'UNKNOWN_FILTER'
    | 'UNKNOWN_TEST'
    | 'RESERVED_NAME'
    | 'UNDECLARED_VARIABLE'
    | 'UNUSED_VARIABLE';
  readonly part: ContentPart | 'variables';
  readonly message: string;
  /** 1-based; absent where the finding has no place. */
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  /** JSON pointer into the content, such as "/html". */
  readonly pointer: string;
}

export interface LintResult {
  readonly errors: readonly LintFinding[];
  readonly warnings: readonly LintFinding[];
}

/** A variable a template says it uses. */
export interface DeclaredVariable {
  readonly name: string;
  readonly default?: unknown;
}

export interface LintInput extends ContentSource {
  readonly declaredVariables: readonly DeclaredVariable[];
  /** Further names that need no declaration: custom fields, keys of a campaign's template_context. */
  readonly knownVariables?: readonly string[] | undefined;
}

/** A part's source, in bytes of UTF-8. Mail clients cut messages at a tenth of this. */
export const MAX_TEMPLATE_BYTES = 1024 * 1024;

/** A message stands alone: what it consists of is what was approved. */
const FORBIDDEN_TAGS: ReadonlySet<string> = new Set(['include', 'import', 'from', 'extends', 'block']);

/**
 * Checks a message before it is saved: size, syntax, unknown filters, variables. Untrusted input: call it through the
 * sandbox (`createContentSandbox`), which bounds time and memory.
 * @throws ContentError ENGINE_LOST, naming the part: the engine folds constants while it parses, and so runs out of
 * memory over `"x" * 1000000000` even before it renders
 */
export function lintTemplate(input: LintInput): LintResult {
  const lint = new Lint(input);
  for (const part of CONTENT_PARTS) lint.part(part, input[part] ?? '');
  lint.unusedVariables();
  return { errors: lint.errors, warnings: lint.warnings };
}

/** The check that is cheap enough to be made anywhere, and must precede all others. */
export function sizeFinding(part: ContentPart, source: string): LintFinding | null {
  if (source.length <= MAX_TEMPLATE_BYTES / 3 || Buffer.byteLength(source) <= MAX_TEMPLATE_BYTES) return null;
  const limit = MAX_TEMPLATE_BYTES / 1024 / 1024;
  return {
    code: 'TOO_LARGE',
    part,
    pointer: `/${part}`,
    message: `is larger than the ${limit} MB a template may have`,
  };
}

/** The first finding of `sizeFinding` in any part. */
export function contentSizeFinding(source: ContentSource): LintFinding | null {
  for (const part of CONTENT_PARTS) {
    const finding = sizeFinding(part, source[part] ?? '');
    if (finding !== null) return finding;
  }
  return null;
}

class Lint {
  readonly errors: LintFinding[] = [];
  readonly warnings: LintFinding[] = [];
  private readonly known: ReadonlySet<string>;
  private readonly used = new Set<string>();

  constructor(private readonly input: LintInput) {
    this.known = new Set([
      ...BUILT_IN_VARIABLES,
      ...(input.knownVariables ?? []),
      ...input.declaredVariables.map(({ name }) => name),
    ]);
  }

  part(part: ContentPart, source: string): void {
    const tooLarge = sizeFinding(part, source);
    if (tooLarge !== null) {
      this.errors.push(tooLarge);
      return;
    }
    this.characters(part, source);
    const analysis = analyseTemplate(source);
    for (const { path } of analysis.references) this.used.add(path[0] ?? '');
    const error = syntaxError(source);
    if (error?.code === 'ENGINE_LOST') throw new ContentError({ ...error, part });
    if (error !== null) {
      const { message, line, column } = error;
      this.errors.push({ code: 'SYNTAX', part, message, line, column, pointer: `/${part}` });
      return;
    }
    this.names(part, source, analysis);
    this.references(part, source, analysis);
  }

  unusedVariables(): void {
    this.input.declaredVariables.forEach(({ name }, index) => {
      const finding = { part: 'variables', pointer: `/variables/${index}/name` } as const;
      if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name) || BUILT_IN_VARIABLES.has(name)) {
        const message = `"${name}" is built in, or is no name: letters, digits and underscores, beginning with a letter`;
        this.errors.push({ ...finding, code: 'RESERVED_NAME', message });
      } else if (!this.used.has(name)) {
        this.warnings.push({ ...finding, code: 'UNUSED_VARIABLE', message: `"${name}" is declared, but not used` });
      }
    });
  }

  private characters(part: ContentPart, source: string): void {
    const bad = /[\0\p{Surrogate}]/u.exec(source);
    if (bad !== null) {
      this.add('UNSTORABLE_CHARACTER', part, source, bad.index, 'contains NUL or broken Unicode');
    }
    if (part !== 'subject') return;
    const lineBreak = /[\r\n\u2028\u2029]/.exec(source);
    if (lineBreak !== null) this.add('LINE_BREAK', part, source, lineBreak.index, 'must be a single line');
    if (Buffer.byteLength(source) > 4 * MAX_HEADER_OCTETS) {
      this.add('TOO_LARGE', part, source, 0, `must have at most ${4 * MAX_HEADER_OCTETS} octets`);
    }
  }

  private names(part: ContentPart, source: string, { statements, filters, tests }: TemplateAnalysis): void {
    for (const { tag, token } of statements) {
      if (FORBIDDEN_TAGS.has(tag))
        this.addAt('FORBIDDEN_TAG', part, source, token, `"${tag}" is not available in messages`);
    }
    for (const [name, token] of filters) {
      if (!isKnownFilter(name)) this.addAt('UNKNOWN_FILTER', part, source, token, `there is no filter "${name}"`);
    }
    for (const [name, token] of tests) {
      if (!isKnownTest(name)) this.addAt('UNKNOWN_TEST', part, source, token, `there is no test "${name}"`);
    }
  }

  private references(part: ContentPart, source: string, { references }: TemplateAnalysis): void {
    const reported = new Set<string>();
    for (const { path, start } of references) {
      const name = path[0] ?? '';
      if (this.known.has(name) || reported.has(name)) continue;
      reported.add(name);
      this.add('UNDECLARED_VARIABLE', part, source, start, `"${name}" is neither declared nor built in`);
    }
  }

  private addAt(code: LintFinding['code'], part: ContentPart, source: string, token: Token, message: string): void {
    this.add(code, part, source, token.start, message);
  }

  private add(code: LintFinding['code'], part: ContentPart, source: string, position: number, message: string): void {
    this.errors.push({ code, part, message, ...lineAndColumn(source, position), pointer: `/${part}` });
  }
}
