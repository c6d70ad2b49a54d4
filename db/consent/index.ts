/** Queries about purposes, consents, double opt-in, preferences and suppressions. */
export * from './categories';
export * from './confirm';
export * from './consents';
export { applyPendingProfile, contactLocales, findOrCreateContact } from './contacts';
export * from './evidence';
export * from './opt-in-requests';
export * from './preferences';
export * from './purposes';
export * from './resubscribe';
export * from './seed';
export * from './sign-up';
export * from './suppressions';
export * from './themes';
export * from './unsubscribe';
export * from './unsubscribes';
