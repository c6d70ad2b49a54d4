/** A value that can't become part of a message. Carries no value: it may be personal. */
export class MimeError extends Error {
  constructor(
    /** Which input was wrong, e.g. "to" or "extra.X-Campaign". */
    readonly field: string,
    readonly reason: string,
  ) {
    super(`${field}: ${reason}`);
    this.name = 'MimeError';
  }
}
