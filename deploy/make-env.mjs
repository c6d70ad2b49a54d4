// Prints an environment file for docker compose with fresh random secrets:
//   (umask 077; node deploy/make-env.mjs > .env)
// Keep a copy of it elsewhere: without SALLY_SECRETS links in mail that was sent are dead and stored credentials are
// lost; without SALLY_SUPPRESSION_KEY nobody on a suppression list is recognised any more.
import { randomBytes } from 'node:crypto';

const random = (bytes) => randomBytes(bytes).toString('base64url');

process.stdout.write(
  [
    `SALLY_SECRETS=k1:${random(32)}`,
    `SALLY_SUPPRESSION_KEY=${random(32)}`,
    `POSTGRES_PASSWORD=${random(24)}`,
    `TEMPORAL_POSTGRES_PASSWORD=${random(24)}`,
    `SALLY_OWNER_PASSWORD=${random(24)}`,
    `SALLY_API_PASSWORD=${random(24)}`,
    `SALLY_WORKER_PASSWORD=${random(24)}`,
    '',
  ].join('\n'),
);
