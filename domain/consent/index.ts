/** Rules about consent: double opt-in, confirmation links. Workflows import contract.ts and opt-in.ts directly. */
export * from './confirm-token';
export * from './contract';
export * from './opt-in';
export * from './system-templates';
