import type { Examples } from './example';

/** Requests of the operations of contacts, audiences, imports and suppressions. */
export const contactsExamples: Examples = {};
