import dgram from 'node:dgram';

const TYPE_MX = 15;
const NAME_ERROR = 3;

/** A name server on loopback (UDP) that knows MX records of these domains and nothing else (RFC 1035). */
export class NameServer {
  /** Domains whose MX records were asked for. */
  readonly asked: string[] = [];

  private constructor(
    private readonly socket: dgram.Socket,
    readonly address: string,
  ) {}

  static async start(exchangers: Record<string, string>): Promise<NameServer> {
    const socket = dgram.createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const server = new NameServer(socket, `127.0.0.1:${socket.address().port}`);
    socket.on('message', (query, from) => socket.send(server.answer(query, exchangers), from.port, from.address));
    return server;
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.socket.close(() => resolve()));
  }

  private answer(query: Buffer, exchangers: Record<string, string>): Buffer {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const question = query.subarray(12, at + 5);
    const domain = labels.join('.').toLowerCase();
    this.asked.push(domain);
    const exchange = query.readUInt16BE(at + 1) === TYPE_MX ? exchangers[domain] : undefined;
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (exchange === undefined ? NAME_ERROR : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(exchange === undefined ? 0 : 1, 6);
    return Buffer.concat([header, question, exchange === undefined ? Buffer.alloc(0) : mxRecord(exchange)]);
  }
}

function mxRecord(exchange: string): Buffer {
  const name = Buffer.concat([
    ...exchange.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1')])),
    Buffer.of(0),
  ]);
  const record = Buffer.alloc(14);
  // A pointer to the question's name.
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(TYPE_MX, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(300, 6);
  record.writeUInt16BE(name.length + 2, 10);
  record.writeUInt16BE(10, 12);
  return Buffer.concat([record, name]);
}
