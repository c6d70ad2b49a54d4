export { beginCheckJob, createCheckJob, finishCheckJob, readCheckResult } from './checks';
export { CredentialsError, loadProvider, loadSenders, openCredentials, sealCredentials } from './load';
export { ensureRoute, type Route } from './routes';
