export * from './alignment';
export * from './candidate';
export { choiceDependsOn, chooseRoute } from './choose';
export { type Egress, parseEgress } from './egress';
export * from './permitted';
