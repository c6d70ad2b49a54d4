/** What other areas may do to the ledger: put messages into it, wake its lanes, and ask what waits in it. */
export * from './enqueue';
export {
  hypotheticalMessages,
  type SendingState,
  sendingState,
  waitingMessages,
} from './forecast';
export { rollUpReceipts } from './receipts';
export * from './soft-bounce';
