import type { ActivityDependencies } from './dependencies';

/** Activities of the control queue, by area. */
export function createControlActivities(_deps: ActivityDependencies) {
  return {};
}
