import { sqlState } from '../../platform/postgres';

/** An address or external id was taken between the look and the writing: look again. */
export class ProfileConflict extends Error {
  constructor() {
    super('a contact was made by somebody else meanwhile');
    this.name = 'ProfileConflict';
  }
}

/** Something was made meanwhile (23505), or two writers of the same contacts waited for each other (40P01, 40001). */
export function isMeanwhile(error: unknown): boolean {
  return ['23505', '40P01', '40001'].includes(sqlState(error) ?? '');
}
