import net from 'node:net';

/** What happens to a commit: it passes; it never reaches Postgres; it is done, and nobody hears of it. */
export type CommitFate = 'pass' | 'lost' | 'answer-lost';

/** The simple-query message of a COMMIT (PostgreSQL protocol 3.0: 'Q', length, text, zero). */
const COMMIT = Buffer.from('Q\0\0\0\x0bCOMMIT\0', 'latin1');
/** Acceptances are settled by one prepared statement that commits by itself; this is the name in its Bind message. */
const SETTLE = Buffer.from('settle-accepted\0', 'latin1');

/** Stands between the workers and Postgres and cuts connections exactly at a commit. */
export class PostgresProxy {
  /** Asked at every commit. */
  onCommit: () => CommitFate = () => 'pass';
  private readonly sockets = new Set<net.Socket>();

  private constructor(private readonly server: net.Server) {}

  static async start(targetPort: number): Promise<PostgresProxy> {
    const server = net.createServer({ noDelay: true });
    const proxy = new PostgresProxy(server);
    server.on('connection', (client) => proxy.serve(client, targetPort));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** The same URL by way of this proxy. */
  through(url: string): string {
    const address = this.server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen');
    const changed = new URL(url);
    changed.port = String(address.port);
    return changed.href;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private serve(client: net.Socket, targetPort: number): void {
    const server = net.connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    const cut = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.sockets.add(socket);
      socket.on('error', cut).on('close', () => {
        this.sockets.delete(socket);
        cut();
      });
    }
    let answerLost = false;
    client.on('data', (chunk: Buffer) => {
      const fate = chunk.includes(COMMIT) || chunk.includes(SETTLE) ? this.onCommit() : 'pass';
      if (fate === 'lost') {
        cut();
        return;
      }
      answerLost ||= fate === 'answer-lost';
      server.write(chunk);
    });
    // When its answer arrives, Postgres has done what it was asked.
    server.on('data', (chunk: Buffer) => (answerLost ? cut() : client.write(chunk)));
  }
}
