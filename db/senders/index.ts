export {
  raiseUnalignedAlert,
  resolveBreakerAlert,
  resolveCredentialsAlert,
  resolveUnalignedAlert,
  zoneAndUnaligned,
} from './alerts';
export { beginCheckJob, createCheckJob, finishCheckJob, readCheckResult } from './checks';
export {
  clearDefaultDomain,
  type DomainRow,
  type DomainValues,
  findDomain,
  findDomainOfHost,
  insertDomain,
  listDomains,
  lockDomain,
  missingProviders,
  updateDomain,
} from './domains';
export {
  clearDefaultIdentity,
  findDefaultIdentity,
  findIdentity,
  type IdentityRow,
  insertIdentity,
  listIdentities,
  lockIdentity,
  updateIdentity,
  usesOfIdentity,
  withdrawIdentity,
} from './identities';
export { deleteIp, findIp, type IpRow, insertIp, listIps, lockIp, updateIp } from './ips';
export { wakeLanesWithWork } from './lanes';
export { CredentialsError, loadProvider, loadSenders, openCredentials, sealCredentials } from './load';
export {
  campaignsOfPool,
  clearDefaultPool,
  deletePool,
  findDefaultPool,
  findPool,
  insertPool,
  listPools,
  lockPool,
  type PoolRow,
  replaceMembers,
  updatePool,
} from './pools';
export {
  clearDefaultProvider,
  deleteProvider,
  findProvider,
  hurryProbe,
  insertProvider,
  listProviders,
  lockProvider,
  type ProviderRow,
  resetBreaker,
  updateProvider,
} from './providers';
export { ensureRoute } from './routes';
export { loadWaysOut, openIpCredentials } from './ways';
