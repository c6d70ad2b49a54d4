/** Rules of sequences. Pure; `contract` alone is for workflows too. */
export * from './contract';
export * from './forecast';
export * from './planner';
export * from './sequence';
export * from './waiting';
