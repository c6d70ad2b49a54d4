import pino, { type Logger } from 'pino';

export type { Logger };

const ADDRESS = /[^\s@<>"'(),;:]+@[^\s@<>"'(),;:]+/g;

/** Strikes e-mail addresses out of a text; for server replies and database errors, which echo them. */
export function redactAddresses(text: string): string {
  return text.replace(ADDRESS, '[address]');
}

/** A JSON log without addresses: error messages are redacted, personal fields removed by name. */
export function createLogger(options: { name: string; level: string; destination?: NodeJS.WritableStream }): Logger {
  return pino(
    {
      name: options.name,
      level: options.level,
      redact: {
        paths: [
          'email',
          'address',
          'recipient',
          'password',
          'token',
          'authorization',
          '*.email',
          '*.address',
          '*.password',
          '*.token',
          'req.headers',
        ],
        remove: true,
      },
      serializers: {
        err: (error: unknown) => {
          if (!(error instanceof Error)) return { message: redactAddresses(String(error)) };
          return {
            type: error.name,
            message: redactAddresses(error.message),
            stack: redactAddresses(error.stack ?? ''),
            code: 'code' in error ? error.code : undefined,
          };
        },
      },
    },
    options.destination ?? pino.destination(1),
  );
}
