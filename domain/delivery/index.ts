export * from './breaker';
export * from './capacity';
export * from './contract';
export * from './facts';
export * from './ledger';
export * from './outcome';
export * from './throttle';
export * from './verdict';
