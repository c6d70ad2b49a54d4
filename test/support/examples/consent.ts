import type { Examples } from './example';

/** Requests of the operations of consent, sign-up, preferences and tracking. */
export const consentExamples: Examples = {};
