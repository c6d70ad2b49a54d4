/** Queries about purposes, consents, double opt-in, preferences and suppressions. */
export * from './categories';
export * from './confirm';
export * from './consents';
export * from './opt-in-requests';
export * from './purposes';
export * from './seed';
export * from './sign-up';
export * from './suppressions';
export * from './unsubscribe';
