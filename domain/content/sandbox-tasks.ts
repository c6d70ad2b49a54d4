import { type CompiledContent, type CompileOptions, type ContentSource, compileContent } from './compile';
import type { RenderContext } from './context';
import { ContentError, renderOnce, type TemplateError } from './engine';
import { type ContentPart, type LintInput, type LintResult, lintTemplate } from './lint';
import { findMissing, type MissingVariable } from './missing';
import { type RenderedMessage, render } from './render';

/**
 * What the sandbox's threads run. Inputs and outputs are plain data; errors in a template are results. Anything
 * thrown is a fault of ours.
 */

export interface PreviewInput {
  readonly source: ContentSource;
  readonly options: CompileOptions;
  readonly context: RenderContext;
}

export interface Preview {
  readonly message: RenderedMessage;
  readonly missing: readonly MissingVariable[];
}

export interface CompileInput {
  readonly source: ContentSource;
  readonly options: CompileOptions;
}

export interface RenderInput {
  readonly compiled: CompiledContent;
  readonly context: RenderContext;
}

export interface DryRunInput {
  readonly part: ContentPart;
  readonly source: string;
  readonly context: RenderContext;
}

/**
 * A trap has left the engine's memory in an unknown state, so the thread must go: the pool is told by throwing this.
 * The message is the part that was too much, or empty.
 */
class EngineLost extends Error {
  override readonly name = 'EngineLost';
}

export type TaskResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: TemplateError };

export function lintTask(input: LintInput): TaskResult<LintResult> {
  return attempt(() => lintTemplate(input));
}

export function compileTask({ source, options }: CompileInput): TaskResult<CompiledContent> {
  return attempt(() => compileContent(source, options));
}

/** Renders as a recipient would get it, and says which variables the context lacks. */
export function previewTask({ source, options, context }: PreviewInput): TaskResult<Preview> {
  return attempt(() => ({
    message: render(compileContent(source, options), context),
    missing: findMissing(source, context),
  }));
}

export function renderTask({ compiled, context }: RenderInput): TaskResult<RenderedMessage> {
  return attempt(() => render(compiled, context));
}

/** Renders one part alone, to find out whether it runs away. */
export function dryRunTask({ part, source, context }: DryRunInput): TaskResult<null> {
  return attempt(() => {
    renderOnce(source, context, part === 'html' || part === 'previewText');
    return null;
  });
}

function attempt<T>(work: () => T): TaskResult<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (!(error instanceof ContentError)) throw error;
    if (error.detail.code === 'ENGINE_LOST') throw new EngineLost(error.detail.part ?? '');
    return { ok: false, error: error.detail };
  }
}
