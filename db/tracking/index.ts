/** Queries of tracking: link tables of sent messages, engagements and what they amount to per contact. */
export * from './engagements';
export * from './message-links';
export * from './roll-up';
