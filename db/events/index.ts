/** The event store: appending Sally's own events, intake from outside, types, consumers. */
export * from './append';
export * from './consume';
export * from './cursors';
export * from './event-types';
export * from './intake';
