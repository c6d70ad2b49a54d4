export * from './answers';
export { type ApiCall, HttpConnector, type ProviderApi } from './connector';
export { type Exchange, type HttpAnswer, type HttpOptions, type HttpRequest, httpOptions } from './transport';
