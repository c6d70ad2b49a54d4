import { readUploadChunk, UPLOAD_CHUNK_BYTES } from '../../db/contacts';
import { CsvProblem, CsvReader, type CsvReaderOptions, Utf8Decoder } from '../../domain/contacts';
import type { Queryable } from '../../platform/postgres';
import { importFailure } from './import-failure';

/** Longest row of a file, in characters; a contact's custom fields take at most 32 KiB. */
export const MAX_ROW_CHARACTERS = 1024 * 1024;

/** A place between two rows of the file. */
export interface RowPosition {
  /** Bytes before it. */
  offset: number;
  /** The line that follows, from 1. */
  line: number;
  /** Rows before it, as spreadsheet programs count them. */
  row: number;
}

export const FILE_START: RowPosition = { offset: 0, line: 1, row: 0 };

export interface SourceRow {
  row: number;
  cells: string[];
}

export interface SourceBatch {
  rows: SourceRow[];
  /** Where the file goes on behind these rows. */
  end: RowPosition;
  /** Nothing follows. */
  last: boolean;
}

/**
 * Reads the rows of an upload from any row's start on, chunk by chunk: one chunk is in memory, the next on its way.
 * Throws ImportFailure where the file is not text or no CSV.
 */
export class ImportSource {
  private readonly reader: CsvReader;
  private readonly decoder: Utf8Decoder;
  private position: number;
  private skip: number;
  private bytesTaken: number;
  private ended = false;
  private ahead: Promise<Buffer | null> | null = null;

  constructor(
    private readonly db: Queryable,
    private readonly upload: { workspaceId: string; id: string },
    dialect: Pick<CsvReaderOptions, 'delimiter' | 'newline'>,
    start: RowPosition,
  ) {
    this.reader = new CsvReader({ ...dialect, maxRow: MAX_ROW_CHARACTERS, line: start.line, rows: start.row });
    this.decoder = new Utf8Decoder(start.offset === 0);
    this.position = Math.floor(start.offset / UPLOAD_CHUNK_BYTES);
    this.skip = start.offset % UPLOAD_CHUNK_BYTES;
    this.bytesTaken = start.offset;
  }

  /** Up to `maxRows` rows, fewer where they are long (`maxCharacters`) or the file ends. */
  async next(maxRows: number, maxCharacters: number): Promise<SourceBatch> {
    const rows: SourceRow[] = [];
    let characters = 0;
    let last = false;
    while (rows.length < maxRows && characters < maxCharacters) {
      const cells = this.nextRow();
      if (cells !== null) {
        for (const cell of cells) characters += cell.length;
        rows.push({ row: this.reader.row, cells });
      } else if (this.ended) {
        last = true;
        break;
      } else {
        await this.readChunk();
      }
    }
    const offset = this.bytesTaken - Buffer.byteLength(this.reader.rest) - this.decoder.pendingBytes;
    return { rows, end: { offset, line: this.reader.line, row: this.reader.row }, last };
  }

  private nextRow(): string[] | null {
    try {
      return this.reader.next();
    } catch (error) {
      if (error instanceof CsvProblem) throw importFailure(error.code, error.message, error.line);
      throw error;
    }
  }

  private async readChunk(): Promise<void> {
    const chunk = await (this.ahead ?? this.fetchNext());
    if (chunk === null) {
      const problem = this.decoder.end();
      if (problem) throw importFailure(problem.code, problem.message, this.reader.line);
      this.reader.end();
      this.ended = true;
      return;
    }
    this.ahead = this.fetchNext();
    // Whoever awaits it gets the error; nobody may ever do so.
    this.ahead.catch(() => {});
    const bytes = this.skip > 0 ? chunk.subarray(this.skip) : chunk;
    this.skip = 0;
    this.bytesTaken += bytes.length;
    const decoded = this.decoder.decode(bytes);
    if (!decoded.ok) throw importFailure(decoded.code, decoded.message, this.reader.line);
    this.reader.push(decoded.text);
  }

  private fetchNext(): Promise<Buffer | null> {
    return readUploadChunk(this.db, this.upload.workspaceId, this.upload.id, this.position++);
  }
}
