export { MAILGUN, POSTMARK, SENDGRID, SES } from './api-schemas';
export * from './contract';
export * from './dns-records';
export * from './health';
export * from './routing';
export * from './sender';
export * from './setup';
export * from './smtp-schemas';
export * from './warming';
