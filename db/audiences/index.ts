/** Audiences, their members and definitions as stored; trees of conditions as SQL; the refresh of dynamic audiences. */
export * from './audiences';
export { type CompiledTree, compileTree } from './compile';
export * from './due';
export * from './is-true-for';
export * from './members';
export * from './preview';
export * from './refresh';
export { resolveConditions } from './resolve';
