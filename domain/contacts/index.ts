/** Rules about contacts: addresses, profiles, custom fields, CSV rows. Pure; not for workflows (node:url, luxon). */
export * from './csv-dialect';
export * from './csv-encoding';
export * from './csv-mapping';
export * from './csv-reader';
export * from './csv-row';
export * from './email';
export * from './field-definitions';
export * from './field-values';
export * from './fields';
export * from './import-plan';
export * from './locale';
export * from './mailbox-providers';
export * from './merge';
export * from './names-and-tags';
export * from './submission-payload';
export * from './submissions';
export * from './upsert-plan';
