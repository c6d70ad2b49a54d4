import { Pool, type PoolClient, type QueryResult, type QueryResultRow, types } from 'pg';
import { GatheringSocket } from './gathering-socket';
import { isUuid } from './ids';

// bigint and count(*) come as text by default; Sally's counts stay far below 2^53.
types.setTypeParser(types.builtins.INT8, Number);
types.setTypeParser(types.builtins.NUMERIC, Number);
// A calendar date is not a moment: keep "2026-03-29" as text.
types.setTypeParser(types.builtins.DATE, (value) => value);

/** A statement with bound parameters; made by `sql`, accepted by every `query`. */
export interface Statement {
  /** Prepared under this name once per connection; for the few statements that run thousands of times a second. */
  name?: string;
  text: string;
  values: unknown[];
}

/** Anything a statement can be run on: a transaction's client or the pool. */
export interface Queryable {
  query<Row extends QueryResultRow>(statement: Statement): Promise<QueryResult<Row>>;
  query<Row extends QueryResultRow>(text: string, values?: unknown[]): Promise<QueryResult<Row>>;
}

/**
 * Builds a statement: every `${value}` becomes a bound parameter, a nested `sql` is spliced in.
 * There is no way to interpolate text.
 */
export function sql(strings: TemplateStringsArray, ...inputs: unknown[]): Statement {
  const statement: Statement = { text: '', values: [] };
  strings.forEach((part, index) => {
    statement.text += part;
    if (index === strings.length - 1) return;
    const input = inputs[index];
    if (isStatement(input)) {
      const offset = statement.values.length;
      statement.text += input.text.replace(/\$(\d+)/g, (_match, number) => `$${Number(number) + offset}`);
      statement.values.push(...input.values);
    } else {
      statement.values.push(input);
      statement.text += `$${statement.values.length}`;
    }
  });
  return statement;
}

function isStatement(input: unknown): input is Statement {
  return (
    typeof input === 'object' && input !== null && 'text' in input && 'values' in input && Array.isArray(input.values)
  );
}

/** Joins statements with a separator given as a statement, for example `sql` AND ``. */
export function joinStatements(parts: Statement[], separator: Statement): Statement {
  return parts.reduce((left, right, index) => (index === 0 ? right : sql`${left}${separator}${right}`), sql``);
}

/** The only row, or null. */
export async function one<Row extends QueryResultRow>(db: Queryable, statement: Statement): Promise<Row | null> {
  const { rows } = await db.query<Row>(statement);
  return rows[0] ?? null;
}

/** All rows. */
export async function many<Row extends QueryResultRow>(db: Queryable, statement: Statement): Promise<Row[]> {
  const { rows } = await db.query<Row>(statement);
  return rows;
}

/** Number of rows changed. */
export async function changed(db: Queryable, statement: Statement): Promise<number> {
  const { rowCount } = await db.query(statement);
  return rowCount ?? 0;
}

export interface DatabaseOptions {
  url: string;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** Largest number of connections. */
  connections: number;
  /** Settings of each connection (SET), for example of the planner. */
  settings?: Record<string, string>;
  /**
   * Statements are sent without waiting for the answers to earlier ones: a transaction of two statements takes two
   * round trips instead of four. Not for COPY.
   */
  pipeline?: boolean;
  /** Longest statement, in milliseconds. */
  statementTimeoutMs?: number;
  /** Called when an idle connection breaks (a server restart); the pool replaces it by itself. */
  onIdleError?: (error: Error) => void;
}

/**
 * Planner settings for connections that only look rows up by key, in tables that may have been filled a moment ago and
 * have no statistics yet: the planner then believes that reading a whole partition is cheap.
 */
export const KEY_LOOKUPS_ONLY: Readonly<Record<string, string>> = {
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  plan_cache_mode: 'force_generic_plan',
};

/** What a transaction's work ends with: its result, and statements that were sent and not waited for. */
export interface Ending<T> {
  result: T;
  last: readonly Promise<unknown>[];
}

/** A pool of one role's connections. Clients are handed out only inside transactions. */
export class Database implements Queryable {
  readonly pool: Pool;
  private readonly pipelined: boolean;

  constructor(options: DatabaseOptions) {
    this.pipelined = options.pipeline ?? false;
    this.pool = new Pool({
      pipeline: this.pipelined,
      ...(this.pipelined && { stream: () => new GatheringSocket() }),
      connectionString: options.url,
      application_name: options.applicationName,
      max: options.connections,
      connectionTimeoutMillis: 10_000,
      idleTimeoutMillis: 30_000,
      statement_timeout: options.statementTimeoutMs ?? 30_000,
      // Event consumers read below the transaction horizon, so no transaction may linger (design, section 5).
      idle_in_transaction_session_timeout: 5_000,
      options: Object.entries(options.settings ?? {})
        .map(([name, value]) => `-c ${name}=${value}`)
        .join(' '),
      keepAlive: true,
    });
    this.pool.on('error', (error) => options.onIdleError?.(error));
  }

  query<Row extends QueryResultRow>(statement: Statement | string, values?: unknown[]): Promise<QueryResult<Row>> {
    return typeof statement === 'string' ? this.pool.query<Row>(statement, values) : this.pool.query<Row>(statement);
  }

  /** Runs `work` in one transaction: COMMIT when it resolves, ROLLBACK when it rejects. */
  transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.begin('BEGIN', async (client) => ({ result: await work(client), last: [] }));
  }

  /**
   * The same for a `work` that need not wait for its last statements: they are sent together with the COMMIT where the
   * connection is pipelined. When this resolves, all of them have succeeded.
   */
  transactionWithLast<T>(work: (client: PoolClient) => Promise<Ending<T>>): Promise<T> {
    return this.begin('BEGIN', work);
  }

  /**
   * The API's only way to a client: a transaction whose row-level security sees `workspaceId` alone
   * (design, section 5).
   */
  workspaceTransaction<T>(workspaceId: string, work: (client: PoolClient) => Promise<T>): Promise<T> {
    if (!isUuid(workspaceId)) throw new Error('workspaceTransaction needs a workspace id');
    return this.begin(`BEGIN; SELECT set_config('sally.workspace', '${workspaceId}', true)`, async (client) => ({
      result: await work(client),
      last: [],
    }));
  }

  private async begin<T>(opening: string, work: (client: PoolClient) => Promise<Ending<T>>): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    // Without a listener, a connection lost between two statements would end the process.
    const onError = (error: Error): void => {
      broken = error;
    };
    client.on('error', onError);
    try {
      const opened = client.query(opening);
      if (this.pipelined) opened.catch(() => undefined);
      else await opened;
      const { result, last } = await work(client);
      if (!this.pipelined) await Promise.all(last);
      const ends = await Promise.allSettled([...last, commit(client)]);
      // The statement that failed says more than the COMMIT that became a rollback.
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch((rollbackError: Error) => {
        broken = rollbackError;
      });
      throw error;
    } finally {
      client.removeListener('error', onError);
      client.release(broken);
    }
  }

  close(): Promise<void> {
    return this.pool.end();
  }
}

/** Postgres answers the COMMIT of a failed transaction with ROLLBACK, and with no error. */
async function commit(client: PoolClient): Promise<void> {
  const { command } = await client.query('COMMIT');
  if (command !== 'COMMIT') throw new Error('the transaction had failed and was rolled back');
}

/** PostgreSQL error code (SQLSTATE) of an error thrown by `pg`, or null. */
export function sqlState(error: unknown): string | null {
  return typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^[0-9A-Z]{5}$/.test(error.code)
    ? error.code
    : null;
}

/** Name of the violated constraint, or null. */
export function violatedConstraint(error: unknown): string | null {
  return typeof error === 'object' && error !== null && 'constraint' in error && typeof error.constraint === 'string'
    ? error.constraint
    : null;
}
