/** Queries about workspaces, people, keys, audit, alerts and rate limits. */
export * from './alerts';
export * from './api-keys';
export * from './audit';
export * from './audit-trail';
export * from './found';
export * from './invitations';
export * from './people';
export * from './rate-limit';
export * from './workspaces';
