export { limitsOf, type RouteLimits } from './limits';
export { capacityKey, routeKey } from './route-states';
export { forecastInSteps } from './simulate';
export * from './types';
