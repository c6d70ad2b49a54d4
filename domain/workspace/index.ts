/** Rules about workspaces: roles and permissions, approval modes, slugs. */
export * from './approval-modes';
export * from './permissions';
export * from './slug';
