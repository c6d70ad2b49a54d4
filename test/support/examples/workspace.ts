import type { Examples } from './example';

/** Requests of the operations of workspaces, members, keys, audit and alerts. */
export const workspaceExamples: Examples = {};
