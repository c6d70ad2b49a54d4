/** Rules of campaigns. Pure; `contract` alone is for workflows too. */
export * from './approval';
export * from './contract';
export * from './recipient-status';
export * from './send-window';
export * from './transitions';
