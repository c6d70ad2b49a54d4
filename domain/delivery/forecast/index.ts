export { limitsOf, type RouteLimits } from './limits';
export { capacityKey, routeKey } from './route-states';
export { forecastDelivery } from './simulate';
export * from './types';
