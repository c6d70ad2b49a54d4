/** Mailboxes, sequences, enrolments and their plan as stored. */
export { alertEarlyQuotasAnywhere } from './early-quota';
export * from './enrolments';
export * from './forecast';
export * from './mailboxes';
export { mailboxesOfDay, type PlanCursor, planLock, planWorkspace, workspacesToPlan } from './plan';
export * from './sequences';
