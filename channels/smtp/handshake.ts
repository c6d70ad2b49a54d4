import { isIP } from 'node:net';
import type { UnavailableCause } from '../connector';
import { prepareAuthentication } from './authentication';
import { type Capabilities, NO_CAPABILITIES, parseCapabilities } from './capabilities';
import { Connection, type ConnectionEnd } from './connection';
import type { SmtpOptions } from './options';
import { type Reply, replyText } from './reply-parser';

/** A connection that has been greeted, secured and logged in. */
export interface Session {
  connection: Connection;
  capabilities: Capabilities;
  greeting: string;
  authenticated: boolean;
}

/** There will be no session. `throttled`: the server is there, but wants no connection now. */
export class HandshakeError extends Error {
  constructor(
    readonly reason: UnavailableCause | 'throttled',
    readonly reply: string,
    readonly code: number,
  ) {
    super(`SMTP session failed: ${reason}`);
    this.name = 'HandshakeError';
  }
}

/**
 * Opens a connection and brings it to the point where MAIL FROM may be said: greeting, EHLO (HELO where unknown),
 * STARTTLS with a second EHLO, AUTH.
 * @throws HandshakeError always, whatever goes wrong
 */
export async function openSession(options: SmtpOptions, abort: AbortSignal): Promise<Session> {
  let connection: Connection;
  try {
    connection = await Connection.open(options, abort);
  } catch (error) {
    const cause = options.tls === 'implicit' && !isNetworkError(error) ? 'tls' : 'connect';
    throw new HandshakeError(cause, describe(error), 0);
  }
  const dialogue = new Dialogue(connection, abort);
  try {
    return await shakeHands(dialogue, connection, options);
  } catch (error) {
    connection.destroy();
    throw error instanceof HandshakeError ? error : new HandshakeError('protocol', describe(error), 0);
  } finally {
    dialogue.close();
  }
}

async function shakeHands(dialogue: Dialogue, connection: Connection, options: SmtpOptions): Promise<Session> {
  const { commandMs, greetingMs } = options.timeouts;
  const greeting = await dialogue.answer(greetingMs);
  if (greeting.code !== 220) {
    throw refused(greeting);
  }
  let capabilities = await sayHello(dialogue, options);
  if (options.tls === 'required' && !capabilities.startTls) {
    throw new HandshakeError('tls', 'the server does not offer STARTTLS', 0);
  }
  if (capabilities.startTls && (options.tls === 'required' || options.tls === 'auto')) {
    const answer = await dialogue.command('STARTTLS', commandMs);
    if (answer.code === 220) {
      // What came in plain behind this answer is not the server's word (RFC 3207 section 6).
      dialogue.forget();
      await connection.secure(options).catch((error: unknown) => {
        throw new HandshakeError('tls', describe(error), 0);
      });
      // RFC 3207 section 4.2: what was said in plain is forgotten.
      capabilities = await sayHello(dialogue, options);
    } else {
      throw new HandshakeError('tls', replyText(answer), answer.code);
    }
  }
  const authenticated = await logIn(dialogue, connection, capabilities, options);
  return { connection, capabilities, greeting: replyText(greeting), authenticated };
}

async function sayHello(dialogue: Dialogue, options: SmtpOptions): Promise<Capabilities> {
  const { commandMs } = options.timeouts;
  const answer = await dialogue.command(`EHLO ${options.clientName}`, commandMs);
  if (answer.code === 250) {
    return parseCapabilities(answer);
  }
  if (answer.code < 500) {
    throw refused(answer);
  }
  const older = await dialogue.command(`HELO ${options.clientName}`, commandMs);
  if (older.code !== 250) {
    throw refused(older);
  }
  return NO_CAPABILITIES;
}

async function logIn(
  dialogue: Dialogue,
  connection: Connection,
  capabilities: Capabilities,
  options: SmtpOptions,
): Promise<boolean> {
  if (options.credentials === null) {
    return false;
  }
  if (connection.encryption === null && !mayLogInUnencrypted(options)) {
    throw new HandshakeError('tls', 'the server does not offer STARTTLS, and a password is not sent in plain', 0);
  }
  const authentication = await prepareAuthentication(options.credentials, capabilities).catch(() => {
    throw new HandshakeError('authentication', 'no access token', 0);
  });
  if (authentication === null) {
    throw new HandshakeError('authentication', 'the server offers no log-in mechanism that Sally speaks', 0);
  }
  let answer: Reply = { code: 334, text: '' };
  for (const line of authentication.lines) {
    if (answer.code !== 334) {
      break;
    }
    answer = await dialogue.command(line, options.timeouts.commandMs);
  }
  if (answer.code === 235) {
    return true;
  }
  throw new HandshakeError('authentication', replyText(answer), answer.code);
}

/** 4xx: not now; anything else that is not wanted: this is no server for us. */
function refused(reply: Reply): HandshakeError {
  const throttled = reply.code >= 400 && reply.code < 500;
  return new HandshakeError(throttled ? 'throttled' : 'connect', replyText(reply), reply.code);
}

/** `tls: off` is the operator's word that the way is safe; otherwise only loopback is. */
export function mayLogInUnencrypted({ host, tls }: Pick<SmtpOptions, 'host' | 'tls'>): boolean {
  return tls === 'off' || host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function isNetworkError(error: unknown): boolean {
  return /^(ECONN|ETIMEDOUT|ENOTFOUND|EAI_|EHOST|ENET|EADDR)/.test(property(error, 'code'));
}

function describe(error: unknown): string {
  const code = property(error, 'code');
  const message = property(error, 'message') || 'unknown error';
  return code === '' ? message : `${code}: ${message}`;
}

/** Errors of sockets may come from another realm, so they are read by shape, not by class. */
function property(error: unknown, key: 'code' | 'message'): string {
  return typeof error === 'object' && error !== null && key in error ? String(Reflect.get(error, key)) : '';
}

/** Command and answer, one after the other; only for the handshake, which is not worth a state machine. */
class Dialogue {
  private readonly replies: Reply[] = [];
  private end: ConnectionEnd | null = null;
  private wake: (() => void) | null = null;
  private readonly aborted = (): void => this.connection.destroy();

  constructor(
    private readonly connection: Connection,
    private readonly abort: AbortSignal,
  ) {
    abort.addEventListener('abort', this.aborted);
    connection.listen({
      onReply: (reply) => {
        this.replies.push(reply);
        this.wake?.();
      },
      onReplies: () => {},
      onEnd: (end) => {
        this.end = end;
        this.wake?.();
      },
    });
  }

  async command(line: string, milliseconds: number): Promise<Reply> {
    // An answer before the question is an injected one.
    if (this.replies.length > 0) {
      throw new HandshakeError('protocol', 'the server answered before it was asked', 0);
    }
    this.connection.write(`${line}\r\n`);
    return this.answer(milliseconds);
  }

  async answer(milliseconds: number): Promise<Reply> {
    this.connection.expectWithin(milliseconds);
    while (this.replies.length === 0 && this.end === null) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.wake = null;
    this.connection.expectNothing();
    const reply = this.replies.shift();
    if (reply !== undefined) {
      return reply;
    }
    const end = this.end ?? { cause: 'closed' as const };
    switch (end.cause) {
      case 'garbage':
        throw new HandshakeError('protocol', `no SMTP: ${end.line}`, 0);
      case 'timeout':
        throw new HandshakeError('connect', 'the server did not answer in time', 0);
      case 'socket':
        throw new HandshakeError('connect', end.code, 0);
      case 'closed':
      case 'destroyed':
        throw new HandshakeError('connect', 'the server closed the connection', 0);
    }
  }

  /** Throws away what was received and not yet read. */
  forget(): void {
    this.replies.length = 0;
  }

  close(): void {
    this.abort.removeEventListener('abort', this.aborted);
  }
}
