import { isIP } from 'node:net';
import { z } from 'zod';

/** Fields that the settings and credentials of several provider types share. */

export const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const HOST_NAME = new RegExp(`^${LABEL}(\\.${LABEL})*\\.?$`, 'i');
export const DOMAIN = new RegExp(`^${LABEL}(\\.${LABEL})+$`, 'i');
export const host = z
  .string()
  .max(253)
  .refine((value) => isIP(value) !== 0 || HOST_NAME.test(value), 'must be a host name or an IP address');

export const secret = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((value) => !/[\0\r\n]/.test(value), 'must not contain NUL, CR or LF');

/** Base URL of an HTTP API: scheme, host, port and path, and nothing else. */
export const endpoint = z
  .string()
  .max(500)
  .refine(isBaseUrl, 'must be a URL like https://api.provider.example, without user, query and fragment');

function isBaseUrl(value: string): boolean {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return false;
  return url.username === '' && url.password === '' && url.search === '' && url.hash === '' && !/\s/.test(value);
}

/** The provider's own name of a pool, stream or configuration set. */
export const resourceName = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9][A-Za-z0-9 ._-]*$/, 'must be a name as the provider shows it');

export const connections = z.int().min(1).max(100);
export const window = z.int().min(1).max(10_000).nullable();
