import { DefaultLogger, type LogEntry, makeTelemetryFilterString, type TelemetryOptions } from '@temporalio/worker';
import type { Logger } from '../../platform/log';

const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'info', WARN: 'warn', ERROR: 'error' } as const;

/** The Temporal SDK's own log, and that of its native core, as lines of ours: JSON, redacted, at our level. */
export function sdkLogging(log: Logger): { logger: DefaultLogger; logging: TelemetryOptions['logging'] } {
  const write = ({ level, message, meta }: LogEntry): void => {
    const { error, ...rest } = meta ?? {};
    log[LEVELS[level]]({ ...rest, ...(error === undefined ? {} : { err: error }) }, message);
  };
  return {
    logger: new DefaultLogger('INFO', write),
    logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
  };
}
