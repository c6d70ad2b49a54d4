/** Templates and frozen messages. */
export * from './approvals';
export * from './contact-layer';
export * from './freeze';
export * from './messages';
export * from './template-variables';
export * from './templates';
export * from './workspace-layer';
