/** Campaigns, their runs, and the rows that runs make in the ledger. */
export * from './campaigns';
export * from './forecast';
export * from './ledger';
export * from './materialise';
export * from './progress';
export * from './recipients';
export * from './runs';
export * from './stats';
export * from './test-recipients';
