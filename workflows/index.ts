// Every workflow type; this file is the entry of the workflow bundle.
export * from './campaign-run';
export * from './check-provider';
export * from './double-opt-in';
export * from './import-contacts';
export * from './sending-lane';
export * from './watchdog';
