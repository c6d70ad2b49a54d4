/** Rules about consent: double opt-in, links, public pages. Workflows import contract.ts and opt-in.ts directly. */
export * from './confirm-token';
export * from './contract';
export * from './invitation-token';
export * from './link-token';
export * from './mail-layout';
export * from './opt-in';
export * from './page-logo';
export * from './page-texts';
export * from './page-theme';
export * from './preference-token';
export * from './preferences';
export * from './system-templates';
