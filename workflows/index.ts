// Every workflow type; this file is the entry of the workflow bundle.
export * from './build-index';
export * from './bulk-edit';
export * from './campaign-run';
export * from './check-provider';
export * from './consume-events';
export * from './double-opt-in';
export * from './enforce-retention';
export * from './erase-contact';
export * from './export-contact';
export * from './export-contacts';
export * from './import-contacts';
export * from './plan-sequences';
export * from './refresh-audiences';
export * from './sending-lane';
export * from './watchdog';
