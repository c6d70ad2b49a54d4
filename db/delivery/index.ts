/** What other areas may do to the ledger: put messages into it and wake its lanes. */
export * from './enqueue';
export * from './soft-bounce';
