/** Rules of audiences: trees of conditions, what they compare and what they depend on. Pure; `contract` alone is for workflows. */
export * from './comparison';
export * from './conditions';
export * from './contract';
export * from './dependencies';
export { type TrackedChanges, trackedChanges } from './tracked';
