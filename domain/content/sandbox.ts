import { join } from 'node:path';
import { createThreadPool, ThreadPoolError } from '../../platform/thread-pool';
import type { CompiledContent, CompileOptions, ContentSource } from './compile';
import type { RenderContext } from './context';
import type { TemplateError } from './engine';
import { CONTENT_PARTS, contentSizeFinding, type LintFinding, type LintInput, type LintResult } from './lint';
import type { RenderedMessage } from './render';
import type { Preview, TaskResult } from './sandbox-tasks';

/**
 * Everything that runs templates nobody has checked yet, or whose output the engine can't bound. Templates are tried
 * in threads of their own, with limits on time, heap and WebAssembly memory; a template that exceeds them is an error
 * in the template, like any other.
 */
export interface ContentSandbox {
  /** Lints, and renders each part once with the variables' defaults, so that runaway templates are found on save. */
  lint(input: LintInput): Promise<LintResult>;
  compile(source: ContentSource, options: CompileOptions): Promise<TaskResult<CompiledContent>>;
  preview(source: ContentSource, options: CompileOptions, context: RenderContext): Promise<TaskResult<Preview>>;
  /** For content whose `execution` is "isolated". */
  render(compiled: CompiledContent, context: RenderContext): Promise<TaskResult<RenderedMessage>>;
  close(): Promise<void>;
}

export interface ContentSandboxOptions {
  /** Default 2. */
  readonly threads?: number | undefined;
  /** Of one task; default 2,000. */
  readonly timeoutMs?: number | undefined;
  /** Tasks waiting; more fail with a ThreadPoolError QUEUE_FULL, which an API answers with 503. Default 200. */
  readonly maxQueued?: number | undefined;
}

const MAX_HEAP_MB = 128;
/** A message of 2 MB needs less than half of this, wherever it is rendered. */
const MAX_WASM_MB = 64;

/** @returns a sandbox that starts its threads when they are first needed */
export function createContentSandbox(options: ContentSandboxOptions = {}): ContentSandbox {
  const { threads = 2, timeoutMs = 2_000, maxQueued = 200 } = options;
  const pool = createThreadPool<typeof import('./sandbox-tasks')>({
    modulePath: join(__dirname, 'sandbox-tasks'),
    threads,
    maxQueued,
    maxHeapMb: MAX_HEAP_MB,
    maxWasmMb: MAX_WASM_MB,
  });
  const lint = async (input: LintInput): Promise<LintResult> => {
    // Too large is too large to be handed over, too.
    const tooLarge = contentSizeFinding(input);
    if (tooLarge !== null) return { errors: [tooLarge], warnings: [] };
    const result = flatten(await limited(pool.run('lintTask', input, timeoutMs)));
    if (!result.ok) return { errors: [tooExpensive(result.error.part ?? 'html', result.error.message)], warnings: [] };
    if (result.value.errors.length > 0) return result.value;
    const context = Object.fromEntries(input.declaredVariables.map((variable) => [variable.name, variable.default]));
    for (const part of CONTENT_PARTS) {
      const source = input[part] ?? '';
      if (!source.includes('{')) continue;
      const tried = flatten(await limited(pool.run('dryRunTask', { part, source, context }, timeoutMs)));
      if (tried.ok || !RUNAWAY.has(tried.error.code)) continue;
      const { message, line, column } = tried.error;
      return { ...result.value, errors: [{ ...tooExpensive(part, message), line, column }] };
    }
    return result.value;
  };
  return {
    lint,
    compile: async (source, compileOptions) => {
      const tooLarge = sizeError(source);
      return (
        tooLarge ?? flatten(await limited(pool.run('compileTask', { source, options: compileOptions }, timeoutMs)))
      );
    },
    preview: async (source, compileOptions, context) => {
      const tooLarge = sizeError(source);
      const input = { source, options: compileOptions, context };
      return tooLarge ?? flatten(await limited(pool.run('previewTask', input, timeoutMs)));
    },
    render: async (compiled, context) =>
      flatten(await limited(pool.run('renderTask', { compiled, context }, timeoutMs))),
    close: () => pool.close(),
  };
}

/** With sample data many things fail that will not fail with real data; running away is not one of them. */
const RUNAWAY: ReadonlySet<TemplateError['code']> = new Set(['FUEL', 'TIME', 'OUTPUT_TOO_LARGE', 'ENGINE_LOST']);

function tooExpensive(part: LintFinding['part'], message: string): LintFinding {
  return { code: 'TOO_EXPENSIVE', part, message, pointer: `/${part}` };
}

function sizeError(source: ContentSource): { ok: false; error: TemplateError } | null {
  const finding = contentSizeFinding(source);
  if (finding === null) return null;
  const part = finding.part === 'variables' ? undefined : finding.part;
  return { ok: false, error: { code: 'TOO_LARGE', message: finding.message, part } };
}

/** Turns the limits that a template ran into, into errors of the template. */
async function limited<T>(running: Promise<T>): Promise<TaskResult<T>> {
  try {
    return { ok: true, value: await running };
  } catch (error) {
    if (!(error instanceof ThreadPoolError)) throw error;
    switch (error.code) {
      case 'TIMEOUT':
        return { ok: false, error: { code: 'TIME', message: 'the template takes longer to render than it may' } };
      case 'CRASHED':
        return { ok: false, error: OUT_OF_MEMORY };
      case 'TASK_FAILED':
        if (!error.message.startsWith('EngineLost')) throw error;
        return {
          ok: false,
          error: { ...OUT_OF_MEMORY, part: CONTENT_PARTS.find((part) => error.message.endsWith(` ${part}`)) },
        };
      case 'QUEUE_FULL':
      case 'CLOSED':
        throw error;
    }
  }
}

const OUT_OF_MEMORY: TemplateError = { code: 'ENGINE_LOST', message: 'the template needs more memory than it may use' };

function flatten<T>(result: TaskResult<TaskResult<T>>): TaskResult<T> {
  return result.ok ? result.value : result;
}
