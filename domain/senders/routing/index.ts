export * from './alignment';
export * from './candidate';
export { chooseRoute, firstChoiceShares, rankedPositions } from './choose';
export { type Egress, type IpCredentials, ipCredentials, parseEgress } from './egress';
export * from './permitted';
export * from './ways';
export * from './ways-out';
