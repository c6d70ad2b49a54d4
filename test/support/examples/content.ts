import type { Examples } from './example';

/** Requests of the operations of content, approval, campaigns and transactional mail. */
export const contentExamples: Examples = {};
