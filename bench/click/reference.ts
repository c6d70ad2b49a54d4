import { createServer } from 'node:http';

/** The least that a redirect can be: node:http, one header, nothing looked up, nothing written. Argument: port. */
createServer((_request, response) => {
  response.writeHead(302, { Location: 'https://example.com/landing', 'Content-Length': 0 });
  response.end();
}).listen(Number(process.argv[2]), '127.0.0.1');
