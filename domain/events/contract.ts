/** Names and inputs of the events area's workflow, shared by workflows and activities. */
export const CONSUME_EVENTS_WORKFLOW = 'consumeEvents';

/** What one round of the consumers did. */
export interface ConsumeEventsResult {
  /** Events read, by consumer. */
  consumed: Record<string, number>;
}
