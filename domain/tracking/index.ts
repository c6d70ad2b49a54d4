/** Rules of tracking: tokens in links, who acted. */
export * from './actor';
export * from './message-token';
