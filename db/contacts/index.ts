/** Contacts, custom fields, submissions, uploads and imports as stored. */
export * from './contact-jobs';
export * from './contacts';
export * from './field-definitions';
export * from './field-index';
export * from './identities';
export * from './import-batch';
export * from './import-dry-run';
export * from './import-jobs';
export * from './import-rejections';
export * from './merge';
export * from './rebuild';
export * from './save';
export * from './selections';
export * from './submissions';
export * from './uploads';
export * from './write-profiles';
