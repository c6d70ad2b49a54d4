import type { Examples } from './example';

/** Requests of the operations of senders. */
export const sendersExamples: Examples = {};
