/** What other areas' routes share with the delivery area's. */
export * from './follow-lane';
