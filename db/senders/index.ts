export { CredentialsError, loadProvider, loadSenders, openCredentials, sealCredentials } from './load';
export { ensureRoute, type Route } from './routes';
