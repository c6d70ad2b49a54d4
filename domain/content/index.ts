/** Rules about message content: templates, links, contexts, hashes. Pure but for `createContentSandbox`, which has threads. */
export * from './canonical-hash';
export { type CompiledContent, compileContent } from './compile';
export * from './context';
export type { TemplateError } from './engine';
export * from './header-text';
export * from './lint';
export * from './missing';
export { type RenderedMessage, render, renderForRecipient } from './render';
export { type ContentSandbox, createContentSandbox } from './sandbox';
export type { Preview, TaskResult } from './sandbox-tasks';
