import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';

export interface DownloadOptions {
  /** How long a connection or a silence may last, in milliseconds. */
  idleTimeoutMs: number;
  /** An answer larger than this is refused. */
  maxBytes: number;
  headers?: Record<string, string>;
  /** Called as bytes arrive; `total` is undefined when the server does not say. */
  onProgress?: (received: number, total: number | undefined) => void;
}

const MAX_REDIRECTS = 5;

/**
 * GET over HTTP or HTTPS, following redirects, through the proxy that HTTPS_PROXY or HTTP_PROXY names (Node 20's own
 * clients ignore these variables).
 * @returns the body and the URL it finally came from
 * @throws Error for a status other than 200, silence, or too large an answer
 */
export async function downloadFile(address: string, options: DownloadOptions): Promise<{ body: Buffer; url: URL }> {
  let url = new URL(address);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
    const response = await get(url, options);
    const { statusCode = 0, headers } = response;
    if (statusCode >= 300 && statusCode < 400 && headers.location) {
      response.resume();
      url = new URL(headers.location, url);
      continue;
    }
    if (statusCode !== 200) {
      response.resume();
      throw new Error(`${url.host} answered ${statusCode}`);
    }
    return { body: await collect(response, options), url };
  }
  throw new Error(`${address}: more than ${MAX_REDIRECTS} redirects`);
}

async function get(url: URL, options: DownloadOptions): Promise<IncomingMessage> {
  const proxy = proxyFor(url);
  const socket = proxy ? await tunnel(proxy, url, options.idleTimeoutMs) : undefined;
  return new Promise((resolve, reject) => {
    const request = url.protocol === 'http:' ? httpRequest : httpsRequest;
    const call = request(url, {
      headers: { 'user-agent': 'sally', ...options.headers },
      timeout: options.idleTimeoutMs,
      ...(socket ? { createConnection: () => socket } : {}),
    });
    call.once('response', resolve);
    call.once('timeout', () => call.destroy(new Error(`${url.host}: no answer for ${options.idleTimeoutMs / 1000} s`)));
    call.once('error', reject);
    call.end();
  });
}

async function collect(response: IncomingMessage, options: DownloadOptions): Promise<Buffer> {
  const total = Number(response.headers['content-length']) || undefined;
  const chunks: Buffer[] = [];
  let received = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    received += chunk.length;
    if (received > options.maxBytes) throw new Error(`the answer is larger than ${options.maxBytes} bytes`);
    options.onProgress?.(received, total);
  }
  if (total !== undefined && received !== total) throw new Error('the connection ended in the middle of the download');
  return Buffer.concat(chunks);
}

/** The proxy for this URL, by the customary variables; undefined for a direct connection. */
export function proxyFor(url: URL, env: NodeJS.ProcessEnv = process.env): URL | undefined {
  const except = (env.NO_PROXY ?? env.no_proxy ?? '').split(',').map((name) => name.trim().replace(/^\*?\./, ''));
  const { hostname } = url;
  if (except.some((name) => name === '*' || (name && (hostname === name || hostname.endsWith(`.${name}`))))) {
    return undefined;
  }
  const { HTTPS_PROXY, https_proxy, HTTP_PROXY, http_proxy, ALL_PROXY, all_proxy } = env;
  const all = ALL_PROXY ?? all_proxy;
  const named = url.protocol === 'https:' ? (HTTPS_PROXY ?? https_proxy ?? all) : (HTTP_PROXY ?? http_proxy ?? all);
  return named ? new URL(named.includes('://') ? named : `http://${named}`) : undefined;
}

/** Opens a tunnel to the target through the proxy (CONNECT, RFC 9110 section 9.3.6). */
function tunnel(proxy: URL, target: URL, timeoutMs: number): Promise<Socket | TLSSocket> {
  const port = target.port || (target.protocol === 'https:' ? '443' : '80');
  const authority = `${target.hostname}:${port}`;
  const user = decodeURIComponent(proxy.username);
  const credentials = Buffer.from(`${user}:${decodeURIComponent(proxy.password)}`).toString('base64');
  return new Promise((resolve, reject) => {
    const request = proxy.protocol === 'https:' ? httpsRequest : httpRequest;
    const call = request({
      host: proxy.hostname,
      port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
      method: 'CONNECT',
      path: authority,
      headers: { host: authority, ...(user ? { 'proxy-authorization': `Basic ${credentials}` } : {}) },
      timeout: timeoutMs,
    });
    call.once('connect', (response, socket) => {
      if (response.statusCode !== 200) {
        socket.destroy();
        reject(new Error(`the proxy ${proxy.host} answered ${response.statusCode}`));
      } else if (target.protocol === 'https:') {
        const secure = tlsConnect({ socket, servername: target.hostname }, () => resolve(secure));
        secure.once('error', reject);
      } else {
        resolve(socket);
      }
    });
    call.once('timeout', () => call.destroy(new Error(`the proxy ${proxy.host} does not answer`)));
    call.once('error', reject);
    call.end();
  });
}
