/** Rules about message content: templates, links, contexts, hashes. Pure but for `createContentSandbox`, which has threads. */
export * from './canonical-hash';
export {
  type CompiledContent,
  type CompileOptions,
  type ContentSource,
  compileContent,
  ensureUnsubscribe,
  OPEN_URL_VARIABLE,
} from './compile';
export * from './context';
export { ContentError, MAX_OUTPUT_LENGTH, type TemplateError } from './engine';
export type { Execution } from './growth';
export * from './header-text';
export { CLICK_BASE_VARIABLE, type ExtractedLinks, extractLinks, MAX_LINKS } from './links';
export * from './lint';
export * from './missing';
export { deriveText } from './plain-text';
export { type RenderedMessage, render, renderForRecipient } from './render';
export { type ContentSandbox, type ContentSandboxOptions, createContentSandbox } from './sandbox';
export type { Preview, TaskResult } from './sandbox-tasks';
