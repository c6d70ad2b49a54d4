/** Rules about content gates: conditions, links, mails and pages. */
export * from './mail';
export * from './pages';
export * from './policy';
export * from './token';
