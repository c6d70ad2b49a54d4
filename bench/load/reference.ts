import { createServer } from 'node:http';

/**
 * The least that an answer can be: node:http, nothing looked up, nothing written. Arguments: port, status, and how many
 * bytes of body; a redirect has a place to go.
 */
const [port, status, bytes] = process.argv.slice(2).map(Number);
const body = 'x'.repeat(bytes ?? 0);
createServer((_request, response) => {
  const redirect = status === 302 ? { Location: 'https://example.com/landing' } : {};
  response.writeHead(status ?? 200, { ...redirect, 'Content-Length': body.length });
  response.end(body);
}).listen(port, '127.0.0.1');
