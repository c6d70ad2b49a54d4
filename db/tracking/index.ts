/** Queries of tracking: link tables of sent messages, engagements. */
export * from './engagements';
export * from './message-links';
