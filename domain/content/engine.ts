import { Environment } from 'minijinja-js';
import { lineAndColumn } from './jinja-lexer';

/** Where and why a template failed. Positions are 1-based; the column is absent where the engine gives no range. */
export interface TemplateError {
  readonly code: 'SYNTAX' | 'RENDER' | 'FUEL' | 'TIME' | 'TOO_LARGE' | 'OUTPUT_TOO_LARGE' | 'ENGINE_LOST';
  readonly message: string;
  readonly part?: 'subject' | 'html' | 'text' | 'previewText' | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

export class ContentError extends Error {
  override readonly name = 'ContentError';
  constructor(readonly detail: TemplateError) {
    super(detail.message);
  }
}

/**
 * Instructions of one render. A newsletter takes a few thousand; 100,000 end an endless loop within 10 ms.
 */
const FUEL = 100_000;

/** Of subject, HTML and text together, in UTF-16 units. Mail servers refuse far smaller messages. */
export const MAX_OUTPUT_LENGTH = 2 * 1024 * 1024;

/**
 * An environment with our settings: undefined variables (and their properties) render as nothing, as in Jinja;
 * Python's methods of strings and dicts work; nothing can be included; `debug()` would show the whole context.
 */
export function createEnvironment({ debug }: { readonly debug: boolean }): Environment {
  const environment = new Environment();
  environment.debug = debug;
  environment.fuel = FUEL;
  environment.undefinedBehavior = 'chainable';
  environment.keepTrailingNewline = true;
  environment.enablePyCompat();
  environment.removeGlobal('debug');
  return environment;
}

/** Parses a template. @returns the error, or null if it is well formed */
export function syntaxError(source: string): TemplateError | null {
  const environment = createEnvironment({ debug: true });
  try {
    environment.addTemplate('template', source);
    return null;
  } catch (error) {
    return templateError(error, source);
  } finally {
    release(environment);
  }
}

/** Renders a template once, with good error messages. Slow; for previews and for finding out why something failed. */
export function renderOnce(source: string, context: Readonly<Record<string, unknown>>, autoEscape: boolean): string {
  const environment = createEnvironment({ debug: true });
  try {
    return checkedLength(environment.renderNamedStr(autoEscape ? 'template.html' : 'template.txt', source, context));
  } catch (error) {
    throw error instanceof ContentError ? error : new ContentError(templateError(error, source));
  } finally {
    release(environment);
  }
}

/** Whether the engine has a filter or test of this name; it tells only when one is used. */
export function isKnownFilter(name: string): boolean {
  return isKnown(`x|${name}`, 'unknown filter');
}

export function isKnownTest(name: string): boolean {
  return isKnown(`x is ${name}`, 'unknown test');
}

export function checkedLength(output: string): string {
  if (output.length <= MAX_OUTPUT_LENGTH) return output;
  const message = `the rendered message is larger than ${MAX_OUTPUT_LENGTH / 1024 / 1024} MB`;
  throw new ContentError({ code: 'OUTPUT_TOO_LARGE', message });
}

/** Turns what the engine throws into an error with a position. @param source given if positions refer to it */
export function templateError(error: unknown, source?: string): TemplateError {
  if (!(error instanceof Error) || isTrap(error)) {
    return { code: 'ENGINE_LOST', message: 'the template needs more memory than it may use' };
  }
  const [summary = '', ...excerpt] = error.message.split('\n');
  const match = /^(.*?)(?: \(in [^()]*?:(\d+)\))?$/.exec(summary);
  const message = (match?.[1] ?? summary).slice(0, 500);
  const code = message.includes('out of fuel') ? 'FUEL' : message.startsWith('syntax error') ? 'SYNTAX' : 'RENDER';
  const line = match?.[2] === undefined ? undefined : Number(match[2]);
  const column = columnOf(excerpt) ?? (source === undefined ? undefined : columnOfEnd(source, line, message));
  // The engine refuses huge ranges and endless recursion before it runs out of fuel; it is the same mistake.
  if (code === 'FUEL' || /range has too many elements|recursion limit/.test(message))
    return { code: 'FUEL', message: 'the template runs too long: it loops more than a message may', line, column };
  return { code, message, line, column };
}

/** A trap inside WebAssembly (out of memory, a panic), or the complaint of an environment that one has left locked. */
function isTrap(error: Error): boolean {
  return error.name === 'RuntimeError' || error.message.includes('unsafe aliasing');
}

const knownNames = new Map<string, boolean>();

function isKnown(expression: string, complaint: string): boolean {
  const known = knownNames.get(expression);
  if (known !== undefined) return known;
  const environment = createEnvironment({ debug: false });
  let answer = true;
  try {
    environment.evalExpr(expression, {});
  } catch (error) {
    answer = !(error instanceof Error && error.message.includes(complaint));
  } finally {
    release(environment);
  }
  if (knownNames.size >= 1_000) knownNames.clear();
  knownNames.set(expression, answer);
  return answer;
}

/** The engine marks the place below the line: "     i    ^^^ syntax error". */
function columnOf(excerpt: readonly string[]): number | undefined {
  for (const text of excerpt) {
    const marker = /^(\s+i )( *)\^/.exec(text);
    if (marker?.[2] !== undefined) return marker[2].length + 1;
  }
  return undefined;
}

/** An unexpected end has a line, and no mark if it is the template's last. */
function columnOfEnd(source: string, line: number | undefined, message: string): number | undefined {
  if (line === undefined || !message.includes('end of input')) return undefined;
  const end = lineAndColumn(source, source.length);
  return end.line === line ? end.column : undefined;
}

/** Freeing an environment that a trap has left locked traps again. */
function release(environment: Environment): void {
  try {
    environment.free();
  } catch {
    // Its memory is lost with it.
  }
}
