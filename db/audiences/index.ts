/** Static lists and their members as stored. */
export * from './audiences';
export * from './members';
export * from './resolve';
