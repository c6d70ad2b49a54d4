export { MAILGUN, POSTMARK, SENDGRID, SES } from './api-schemas';
export * from './contract';
export * from './routing';
export * from './sender';
export * from './setup';
export * from './smtp-schemas';
