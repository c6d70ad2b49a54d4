/** Rules of events: what may come in from outside. Pure; `contract` alone is for workflows. */
export * from './contract';
export * from './event-types';
