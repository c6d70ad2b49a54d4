export { beginCheckJob, createCheckJob, finishCheckJob, readCheckResult } from './checks';
export { wakeLanesWithWork } from './lanes';
export { CredentialsError, loadProvider, loadSenders, openCredentials, sealCredentials } from './load';
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
