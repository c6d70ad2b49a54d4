/** All workflows and short activities. */
export const CONTROL_TASK_QUEUE = 'sally-control';

/** Sending activities only, so that bulk cannot starve control. */
export const DELIVERY_TASK_QUEUE = 'sally-delivery';

/** Drains of opt-in and transactional mail, with slots of their own: no number of bulk lanes takes them. */
export const URGENT_DELIVERY_TASK_QUEUE = 'sally-delivery-urgent';

/** The queue of one delivery process, for lanes that are drained by several at once. */
export function deliveryProcessTaskQueue(processId: string): string {
  return `sally-delivery-${processId}`;
}
