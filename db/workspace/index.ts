/** Queries about workspaces, people, keys, audit, alerts and rate limits. */
export * from './audit';
export * from './rate-limit';
