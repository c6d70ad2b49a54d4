/** Mailboxes, sequences, enrolments and their plan as stored. */
export * from './enrolments';
export * from './mailboxes';
export { type PlanCursor, planLock, planWorkspace, workspacesToPlan } from './plan';
export * from './sequences';
