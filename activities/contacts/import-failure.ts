import type { ImportError } from '../../db/contacts';

/** The file or the request cannot be imported; retrying would not help. Becomes the job's error. */
export class ImportFailure extends Error {
  constructor(readonly details: ImportError) {
    super(details.code);
    this.name = 'ImportFailure';
  }
}

export function importFailure(code: string, message: string, line: number | null = null): ImportFailure {
  return new ImportFailure({ code, message, line, column: null });
}

/** The job's row is not where this attempt left it: it was cancelled, or another attempt goes on with it. */
export class ImportTakenOver extends Error {
  constructor() {
    super('the import was cancelled or taken over');
    this.name = 'ImportTakenOver';
  }
}
