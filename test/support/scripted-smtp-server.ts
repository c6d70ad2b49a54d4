import { readFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';

/**
 * The points of an SMTP dialogue at which the script is asked. `content`: the first bytes after 354 (or BDAT) arrived.
 * `dot`: all of a message is there, ended by its dot or by the length that BDAT gave.
 */
export type Step =
  | 'greeting'
  | 'ehlo'
  | 'helo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'content'
  | 'dot'
  | 'rset';

export interface StepContext {
  step: Step;
  /** Counts connections of this server from 1. */
  connection: number;
  /** Counts MAIL FROM on this connection from 1; 0 before the first. */
  messageOnConnection: number;
  /** Counts MAIL FROM over all connections from 1. */
  message: number;
  from: string;
  to: string;
  /** The command as it came. */
  line: string;
}

/** What to do instead of the usual answer. */
export type Answer =
  /** Sent as it is, CR LF added; need not be SMTP. */
  | string
  | { reply: string; thenClose: true }
  /** Cuts the connection. `accepted`: at the dot, the message counts as delivered all the same. */
  | { drop: true; accepted?: boolean }
  /** The usual answer, later. */
  | { delayMs: number }
  /** The usual answer, once this is over. */
  | { after: Promise<void> }
  /** Never answers again on this connection. */
  | { silent: true };

export type Script = (context: StepContext) => Answer | undefined;

export interface AcceptedMessage {
  token: string;
  from: string;
  to: string;
  /** The message without stuffed dots, as latin1 (one character an octet). */
  raw: string;
  connection: number;
  encrypted: boolean;
  /** Who was logged in; empty for nobody. */
  username: string;
}

interface Login {
  username: string;
  password: string;
}

export interface ScriptedSmtpServerOptions {
  /** Lines of the EHLO answer; default PIPELINING, 8BITMIME, SMTPUTF8, SIZE. An empty list offers nothing. */
  extensions?: string[];
  /** Refuses EHLO, as servers of the last century do. */
  heloOnly?: boolean;
  /** A pair of test/fixtures/tls; offers STARTTLS unless implicit. */
  certificate?: 'localhost' | 'mismatch';
  implicitTls?: boolean;
  /** Accepted log-in; without it every AUTH is refused with 535. XOAUTH2 takes the password as the token. */
  login?: Login | Login[];
  script?: Script;
  /** Port to listen on; default a free one. */
  port?: number;
}

const FIXTURES = join(__dirname, '..', 'fixtures', 'tls');

/** PEM of the authority that issued the server's certificates. */
export const testAuthority = (): string => readFileSync(join(FIXTURES, 'authority.crt'), 'utf8');

/**
 * An SMTP server that misbehaves on demand: its script may replace any answer, drop, delay or stay silent at any step.
 * It counts every message it took responsibility for by a token: the header X-Sally-Delivery, else Message-ID.
 */
export class ScriptedSmtpServer {
  readonly accepted: AcceptedMessage[] = [];
  /** Accepted messages per token; a value above 1 is a duplicate. */
  readonly tokens = new Map<string, number>();
  /** Every command line, in order, as "connection: line". */
  readonly transcript: string[] = [];
  /** The commands that arrived in one read, e.g. ["MAIL", "RCPT", "DATA"]; a message's content is "(content)". */
  readonly bursts: string[][] = [];
  connections = 0;
  messages = 0;
  script: Script;
  private readonly sockets = new Set<net.Socket>();
  private server: net.Server | null = null;
  private boundPort = 0;

  constructor(readonly options: ScriptedSmtpServerOptions = {}) {
    this.script = options.script ?? (() => undefined);
  }

  static async start(options: ScriptedSmtpServerOptions = {}): Promise<ScriptedSmtpServer> {
    const server = new ScriptedSmtpServer(options);
    await server.listen(options.port ?? 0);
    return server;
  }

  /** Listens (again) on the given port; 0 takes a free one. */
  async listen(port: number): Promise<void> {
    const server = net.createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => {});
      this.connections++;
      new ServerSession(this, socket, this.connections).start();
    });
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    const address = server.address();
    this.boundPort = typeof address === 'object' && address !== null ? address.port : 0;
  }

  get port(): number {
    return this.boundPort;
  }

  get openConnections(): number {
    return this.sockets.size;
  }

  /** Tokens that were accepted more than once. */
  duplicates(): string[] {
    return [...this.tokens].filter(([, count]) => count > 1).map(([token]) => token);
  }

  /** Cuts all connections; the server goes on listening. */
  dropAll(): void {
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }

  /** Stops listening and cuts all connections. */
  async stop(): Promise<void> {
    const server = this.server;
    this.server = null;
    this.dropAll();
    if (server !== null) {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    }
  }

  record(message: AcceptedMessage): void {
    this.accepted.push(message);
    this.tokens.set(message.token, (this.tokens.get(message.token) ?? 0) + 1);
  }

  context(certificate: 'localhost' | 'mismatch'): tls.SecureContext {
    return tls.createSecureContext({
      key: readFileSync(join(FIXTURES, `${certificate}.key`)),
      cert: readFileSync(join(FIXTURES, `${certificate}.crt`)),
    });
  }
}

type State =
  | { kind: 'command' }
  | { kind: 'content' }
  | { kind: 'chunk'; octets: number }
  | { kind: 'auth'; answers: string[]; wanted: number };

/** One connection. Commands are worked off one after the other, so a delay holds up what was pipelined behind it. */
class ServerSession {
  private rest = '';
  private state: State = { kind: 'command' };
  private contentAsked = false;
  private busy = false;
  private from: string | null = null;
  private to = '';
  private recipients = 0;
  private messageOnConnection = 0;
  private message = 0;
  private encrypted = false;
  private username = '';

  constructor(
    private readonly server: ScriptedSmtpServer,
    private socket: net.Socket,
    private readonly connection: number,
  ) {}

  start(): void {
    if (this.server.options.implicitTls === true) {
      this.secure();
    } else {
      this.attach();
    }
    void this.answer('greeting', '', '220 scripted.test ESMTP');
  }

  private attach(): void {
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk: string) => {
      this.note(chunk);
      this.rest += chunk;
      void this.run();
    });
  }

  private secure(): void {
    const secured = new tls.TLSSocket(this.socket, {
      isServer: true,
      secureContext: this.server.context(this.server.options.certificate ?? 'localhost'),
    });
    secured.on('error', () => {});
    this.socket = secured;
    this.encrypted = true;
    this.rest = '';
    this.attach();
  }

  private note(chunk: string): void {
    const verbs: string[] = [];
    for (const line of chunk.split('\r\n')) {
      const verb = /^(MAIL|RCPT|DATA|BDAT|RSET|QUIT|EHLO|HELO|AUTH|STARTTLS)\b/i.exec(line)?.[1]?.toUpperCase();
      if (verb !== undefined) {
        verbs.push(verb);
      } else if (line === '.') {
        verbs.push('(dot)');
      } else if (line !== '' && verbs.at(-1) !== '(content)') {
        verbs.push('(content)');
      }
    }
    this.server.bursts.push(verbs);
  }

  private async run(): Promise<void> {
    if (this.busy) {
      return;
    }
    this.busy = true;
    while (!this.socket.destroyed) {
      if (this.state.kind === 'content') {
        if (!(await this.takeContent())) {
          break;
        }
        continue;
      }
      if (this.state.kind === 'chunk') {
        if (!(await this.takeChunk(this.state.octets))) {
          break;
        }
        continue;
      }
      const end = this.rest.indexOf('\r\n');
      if (end < 0) {
        break;
      }
      const line = this.rest.slice(0, end);
      this.rest = this.rest.slice(end + 2);
      this.server.transcript.push(`${this.connection}: ${line}`);
      await this.command(line);
    }
    this.busy = false;
  }

  /** @returns false when more bytes are needed */
  private async takeContent(): Promise<boolean> {
    if (!(await this.askContent())) {
      return false;
    }
    const end = this.rest.startsWith('.\r\n') ? 0 : this.rest.indexOf('\r\n.\r\n');
    if (end < 0) {
      return false;
    }
    const body = this.rest.startsWith('.\r\n') ? '' : this.rest.slice(0, end + 2);
    this.rest = this.rest.slice(body.length + 3);
    this.state = { kind: 'command' };
    const valid = this.recipients > 0;
    const from = this.from ?? '';
    this.from = null;
    await this.takeMessage(body.replace(/(^|\r\n)\./g, '$1'), valid, from);
    return true;
  }

  /**
   * As RFC 3030 wants it: exactly so many octets, also where they are thrown away. After a refusal the transaction is
   * still open until RSET, as with the strictest of servers.
   * @returns false when more bytes are needed
   */
  private async takeChunk(octets: number): Promise<boolean> {
    if (!(await this.askContent()) || this.rest.length < octets) {
      return false;
    }
    const raw = this.rest.slice(0, octets);
    this.rest = this.rest.slice(octets);
    this.state = { kind: 'command' };
    const valid = this.recipients > 0;
    const from = this.from ?? '';
    if (await this.takeMessage(raw, valid, from)) {
      this.from = null;
    }
    return true;
  }

  /** The script is asked for its side effects only: content has no answer of its own. */
  private async askContent(): Promise<boolean> {
    if (this.contentAsked) {
      return true;
    }
    if (this.rest === '') {
      return false;
    }
    this.contentAsked = true;
    return this.answer('content', '', null);
  }

  private async takeMessage(raw: string, valid: boolean, from: string): Promise<boolean> {
    const to = this.to;
    this.recipients = 0;
    if (!valid) {
      this.reply('554 5.5.1 No valid recipients');
      return false;
    }
    const record = (): void =>
      this.server.record({
        token: tokenOf(raw),
        from,
        to,
        raw,
        connection: this.connection,
        encrypted: this.encrypted,
        username: this.username,
      });
    return this.answer('dot', '', '250 2.0.0 Accepted', record);
  }

  private async command(line: string): Promise<void> {
    if (this.state.kind === 'auth') {
      await this.continueLogin(this.state, line);
      return;
    }
    const [verb = '', argument = ''] = line.split(/\s+(.*)/s);
    switch (verb.toUpperCase()) {
      case 'EHLO':
        if (this.server.options.heloOnly === true) {
          this.reply('502 5.5.1 What is that?');
        } else {
          await this.answer('ehlo', line, this.hello());
        }
        return;
      case 'HELO':
        await this.answer('helo', line, '250 scripted.test');
        return;
      case 'STARTTLS':
        if (await this.answer('starttls', line, '220 2.0.0 Go ahead')) {
          this.socket.removeAllListeners('data');
          this.secure();
        }
        return;
      case 'AUTH':
        await this.login(line, argument);
        return;
      case 'MAIL':
        await this.mail(line, argument);
        return;
      case 'RCPT':
        await this.rcpt(line, argument);
        return;
      case 'DATA':
        await this.data(line);
        return;
      case 'BDAT':
        this.contentAsked = false;
        this.state = { kind: 'chunk', octets: Number(/^(\d+) LAST$/i.exec(argument)?.[1]) };
        return;
      case 'RSET':
        this.from = null;
        this.recipients = 0;
        await this.answer('rset', line, '250 2.0.0 Forgotten');
        return;
      case 'QUIT':
        this.socket.end('221 2.0.0 Bye\r\n');
        return;
      default:
        this.reply('500 5.5.2 Unknown command');
    }
  }

  private async mail(line: string, argument: string): Promise<void> {
    if (this.from !== null) {
      this.reply('503 5.5.1 Nested MAIL');
      return;
    }
    this.server.messages++;
    this.messageOnConnection++;
    this.message = this.server.messages;
    const from = pathOf(argument);
    this.to = '';
    this.recipients = 0;
    if (await this.answer('mail', line, '250 2.1.0 Sender ok')) {
      this.from = from;
    }
  }

  private async rcpt(line: string, argument: string): Promise<void> {
    if (this.from === null) {
      this.reply('503 5.5.1 MAIL first');
      return;
    }
    this.to = pathOf(argument);
    if (await this.answer('rcpt', line, '250 2.1.5 Recipient ok')) {
      this.recipients++;
    }
  }

  private async data(line: string): Promise<void> {
    if (this.from === null) {
      this.reply('503 5.5.1 MAIL first');
      return;
    }
    if (await this.answer('data', line, this.recipients > 0 ? '354 Go ahead' : '554 5.5.1 No valid recipients')) {
      this.contentAsked = false;
      this.state = { kind: 'content' };
    }
  }

  private hello(): string {
    const { extensions, login, certificate, implicitTls } = this.server.options;
    const lines = [...(extensions ?? ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 10485760', 'ENHANCEDSTATUSCODES'])];
    if (certificate !== undefined && implicitTls !== true && !this.encrypted) {
      lines.push('STARTTLS');
    }
    if (login !== undefined && !lines.some((line) => line.startsWith('AUTH'))) {
      lines.push('AUTH PLAIN LOGIN XOAUTH2');
    }
    const all = ['scripted.test', ...lines];
    return all.map((line, index) => `250${index === all.length - 1 ? ' ' : '-'}${line}`).join('\r\n');
  }

  private async login(line: string, argument: string): Promise<void> {
    const [mechanism = '', initial] = argument.split(' ');
    if (mechanism.toUpperCase() === 'LOGIN') {
      this.state = { kind: 'auth', answers: [], wanted: 2 };
      this.reply('334 VXNlcm5hbWU6');
      return;
    }
    const decoded = Buffer.from(initial ?? '', 'base64').toString('utf8');
    const good = this.loggedIn(
      ({ username, password }) =>
        decoded === `\0${username}\0${password}` || decoded === `user=${username}\x01auth=Bearer ${password}\x01\x01`,
    );
    if (!good && mechanism.toUpperCase() === 'XOAUTH2') {
      this.state = { kind: 'auth', answers: [], wanted: 1 };
      this.reply(`334 ${Buffer.from('{"status":"401"}').toString('base64')}`);
      return;
    }
    await this.answer('auth', line, good ? '235 2.7.0 Welcome' : '535 5.7.8 Wrong user or password');
  }

  private loggedIn(matches: (login: Login) => boolean): boolean {
    const found = [this.server.options.login ?? []].flat().find(matches);
    this.username = found?.username ?? '';
    return found !== undefined;
  }

  private async continueLogin(state: Extract<State, { kind: 'auth' }>, line: string): Promise<void> {
    state.answers.push(Buffer.from(line, 'base64').toString('utf8'));
    if (state.answers.length < state.wanted) {
      this.reply('334 UGFzc3dvcmQ6');
      return;
    }
    this.state = { kind: 'command' };
    const [user, secret] = state.answers;
    const good = this.loggedIn(({ username, password }) => user === username && secret === password);
    await this.answer('auth', line, good ? '235 2.7.0 Welcome' : '535 5.7.8 Wrong user or password');
  }

  /**
   * Asks the script, then answers.
   * @param usual the answer without a script; null when the step has none
   * @param onAccepted called when the step ends well
   * @returns whether the step ended well (a 2xx or 3xx answer, or none was due)
   */
  private async answer(step: Step, line: string, usual: string | null, onAccepted?: () => void): Promise<boolean> {
    const answer = this.server.script({
      step,
      connection: this.connection,
      messageOnConnection: this.messageOnConnection,
      message: this.message,
      from: this.from ?? '',
      to: this.to,
      line,
    });
    let reply = usual;
    if (typeof answer === 'string') {
      reply = answer;
    } else if (answer !== undefined && 'reply' in answer) {
      this.socket.end(`${answer.reply}\r\n`);
      return false;
    } else if (answer !== undefined && 'drop' in answer) {
      if (answer.accepted === true) {
        onAccepted?.();
      }
      this.socket.destroy();
      return false;
    } else if (answer !== undefined && 'silent' in answer) {
      // This connection is dead from here on: what was pipelined behind is not worked off either.
      await new Promise(() => {});
    } else if (answer !== undefined && 'delayMs' in answer) {
      await new Promise((resolve) => setTimeout(resolve, answer.delayMs));
    } else if (answer !== undefined && 'after' in answer) {
      await answer.after;
    }
    if (reply === null) {
      return true;
    }
    const good = /^[23]\d\d/.test(reply);
    if (good) {
      onAccepted?.();
    }
    this.reply(reply);
    return good;
  }

  private reply(text: string): void {
    if (!this.socket.destroyed) {
      this.socket.write(`${text}\r\n`, 'latin1');
    }
  }
}

function pathOf(argument: string): string {
  return Buffer.from(/<([^>]*)>/.exec(argument)?.[1] ?? '', 'latin1').toString('utf8');
}

function tokenOf(raw: string): string {
  const header = raw.slice(0, Math.max(0, raw.indexOf('\r\n\r\n')));
  return (
    /^X-Sally-Delivery:\s*(\S+)/im.exec(header)?.[1] ?? /^Message-ID:\s*<?([^>\r\n]+)>?/im.exec(header)?.[1] ?? '(none)'
  );
}
