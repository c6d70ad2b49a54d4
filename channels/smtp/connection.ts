import net from 'node:net';
import tls from 'node:tls';
import type { SmtpOptions } from './options';
import { type Reply, ReplyParser, ReplySyntaxError } from './reply-parser';

/** Why a connection is no more. */
export type ConnectionEnd =
  | { cause: 'closed' }
  | { cause: 'timeout' }
  | { cause: 'socket'; code: string }
  | { cause: 'garbage'; line: string }
  | { cause: 'destroyed' };

/** What the owner of a connection hears from it. */
export interface ConnectionListener {
  /** Called for each reply in the order of arrival. */
  onReply(reply: Reply): void;
  /** All replies of one read were delivered: the moment to write once for all of them. */
  onReplies(): void;
  /** Called once; nothing comes after it. */
  onEnd(end: ConnectionEnd): void;
}

/**
 * Replies are short and read synchronously, so all plain sockets share one buffer: it saves an allocation of 64 KB
 * for each read.
 */
const READ_BUFFER = Buffer.allocUnsafe(64 * 1024);

/**
 * One socket that speaks lines: bytes in become replies, silence becomes a time-out. Knows nothing of mail.
 * Use {@link Connection.open}.
 */
export class Connection {
  private readonly parser = new ReplyParser();
  private listener: ConnectionListener | null = null;
  private ended: ConnectionEnd | null = null;
  private timer: NodeJS.Timeout | null = null;
  /** performance.now() at which silence becomes a time-out; 0 means nothing is awaited. */
  private deadline = 0;
  private timerAt = 0;
  private unwatch: () => void = () => {};

  private constructor(
    private socket: net.Socket,
    private readonly host: string,
  ) {}

  /**
   * Connects (and with `implicit` makes TLS at once).
   * @throws Error with the system's or TLS's code when there is no connection within connectMs
   */
  static open(options: SmtpOptions, abort: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      let connection: Connection | null = null;
      const socket = net.connect({
        host: options.host,
        port: options.port,
        ...(options.lookup !== null && { lookup: options.lookup }),
        noDelay: true,
        keepAlive: true,
        onread: {
          buffer: READ_BUFFER,
          callback: (length: number) => {
            connection?.receive(READ_BUFFER.toString('latin1', 0, length));
            return true;
          },
        },
      });
      ignoreErrors(socket);
      const fail = (error: Error): void => {
        finish();
        socket.destroy();
        reject(error);
      };
      const aborted = (): void => fail(new Error('stopped'));
      const timer = setTimeout(
        () => fail(Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' })),
        options.timeouts.connectMs,
      );
      const finish = (): void => {
        clearTimeout(timer);
        abort.removeEventListener('abort', aborted);
        socket.removeListener('error', fail);
      };
      abort.addEventListener('abort', aborted);
      socket.once('error', fail);
      socket.once('connect', () => {
        finish();
        connection = new Connection(socket, options.host);
        connection.watch(socket);
        if (options.tls === 'implicit') {
          connection.secure(options).then(() => resolve(connection as Connection), reject);
        } else {
          resolve(connection);
        }
      });
      if (abort.aborted) {
        aborted();
      }
    });
  }

  /** Replies that arrive from now on go to this listener. An end that came earlier is told at once. */
  listen(listener: ConnectionListener): void {
    this.listener = listener;
    if (this.ended !== null) {
      listener.onEnd(this.ended);
    }
  }

  get alive(): boolean {
    return this.ended === null;
  }

  /** Protocol and cipher, or null when the connection is not encrypted. */
  get encryption(): string | null {
    return this.socket instanceof tls.TLSSocket
      ? `${this.socket.getProtocol() ?? 'TLS'} ${this.socket.getCipher().name}`
      : null;
  }

  /**
   * Turns the connection into TLS (RFC 3207). Whatever was received in plain before it is thrown away.
   * @throws Error when the handshake fails or the certificate does not match; the connection is destroyed then
   */
  secure(options: SmtpOptions): Promise<void> {
    const plain = this.socket;
    this.parser.reset();
    // From here on the TLS socket tells what happens to the raw one.
    this.unwatch();
    return new Promise((resolve, reject) => {
      const secured = tls.connect({
        socket: plain,
        host: this.host,
        // RFC 6066 section 3: an address literal is no server name; it is still verified against the certificate.
        ...(net.isIP(this.host) === 0 && { servername: this.host }),
        rejectUnauthorized: options.verifyCertificate,
        minVersion: 'TLSv1.2',
        ...(options.certificateAuthority !== null && { ca: options.certificateAuthority }),
      });
      const timer = setTimeout(() => fail(new Error('TLS handshake timed out')), options.timeouts.commandMs);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        this.end({ cause: 'destroyed' });
        reject(error);
      };
      const closed = (): void => fail(new Error('connection closed in the TLS handshake'));
      this.socket = secured;
      ignoreErrors(secured);
      secured.once('error', fail);
      secured.once('close', closed);
      secured.once('secureConnect', () => {
        clearTimeout(timer);
        secured.removeListener('error', fail);
        secured.removeListener('close', closed);
        this.parser.reset();
        this.watch(secured);
        secured.on('data', (chunk: Buffer) => this.receive(chunk.toString('latin1')));
        resolve();
      });
    });
  }

  /**
   * Passes bytes to the socket; a buffer must stay untouched until {@link flushed}.
   * @param whenFlushed called when the kernel has taken all of it; never when the connection broke before
   */
  write(data: Buffer | string, whenFlushed?: () => void): void {
    if (this.ended !== null) {
      return;
    }
    if (whenFlushed === undefined) {
      this.socket.write(data);
    } else {
      this.socket.write(data, (error) => {
        if (!error) {
          whenFlushed();
        }
      });
    }
  }

  /** True when everything written has left for the kernel, so that its buffers can be used again. */
  get flushed(): boolean {
    return this.socket.writableLength === 0;
  }

  /** From now on the server must answer within so many milliseconds; called again at each step. */
  expectWithin(milliseconds: number): void {
    const now = performance.now();
    this.deadline = now + milliseconds;
    if (this.timer === null || this.timerAt > this.deadline) {
      this.arm(milliseconds);
    }
  }

  /** Nothing is awaited: silence is fine. */
  expectNothing(): void {
    this.deadline = 0;
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.end({ cause: 'destroyed' });
  }

  /** Says QUIT and leaves without waiting for the answer. */
  quit(): void {
    if (this.ended === null) {
      this.socket.end('QUIT\r\n');
      // A server that never closes its side must not hold us.
      const socket = this.socket;
      setTimeout(() => socket.destroy(), 2_000).unref();
      this.finish({ cause: 'destroyed' });
    }
  }

  private receive(chunk: string): void {
    if (this.ended !== null) {
      return;
    }
    try {
      this.parser.push(chunk, (reply) => {
        this.listener?.onReply(reply);
        return this.ended === null;
      });
    } catch (error) {
      if (!(error instanceof ReplySyntaxError)) {
        throw error;
      }
      this.end({ cause: 'garbage', line: error.line });
      return;
    }
    if (this.ended === null) {
      this.listener?.onReplies();
    }
  }

  private watch(socket: net.Socket): void {
    const failed = (error: NodeJS.ErrnoException): void =>
      this.end({ cause: 'socket', code: error.code ?? error.name });
    const closed = (): void => this.end({ cause: 'closed' });
    socket.on('error', failed).on('end', closed).on('close', closed);
    this.unwatch = () => socket.off('error', failed).off('end', closed).off('close', closed);
  }

  private arm(milliseconds: number): void {
    if (this.timer !== null) {
      clearTimeout(this.timer);
    }
    this.timerAt = performance.now() + milliseconds;
    // One timer that looks at the deadline when it fires is cheaper than a timer for each reply.
    this.timer = setTimeout(() => {
      this.timer = null;
      if (this.deadline === 0 || this.ended !== null) {
        return;
      }
      const left = this.deadline - performance.now();
      if (left <= 0) {
        this.end({ cause: 'timeout' });
      } else {
        this.arm(Math.ceil(left));
      }
    }, milliseconds);
  }

  private end(end: ConnectionEnd): void {
    if (this.ended === null) {
      this.socket.destroy();
      this.finish(end);
    }
  }

  private finish(end: ConnectionEnd): void {
    this.ended = end;
    if (this.timer !== null) {
      clearTimeout(this.timer);
    }
    this.listener?.onEnd(end);
  }
}

/** Whoever cares listens besides; an error nobody listens to would end the process. */
function ignoreErrors(socket: net.Socket): void {
  socket.on('error', () => {});
}
