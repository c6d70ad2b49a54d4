/** Content gates as stored: gates, grants, accesses. */
export * from './ask';
export * from './gates';
export * from './grants';
export * from './pass';
