/**
 * The one interface between Sally and whatever carries a message away (SMTP relays and the APIs of providers).
 * A connector never looks at the ledger: it says what became of one message, and the delivery activity decides
 * what that means for the row.
 */

/** A person or role, with a display name as people write it (empty for none). */
export interface MessageAddress {
  name: string;
  address: string;
}

/** A message taken apart, for provider APIs that put it together themselves. */
export interface StructuredMessage {
  from: MessageAddress;
  replyTo: MessageAddress | null;
  to: MessageAddress;
  subject: string;
  /** At least one of text and html is given. */
  text: string | null;
  html: string | null;
  /** id@domain, without angle brackets. */
  messageId: string;
  /** All further fields that Sally sets, in order, each value one line of ASCII. */
  headers: readonly (readonly [name: string, value: string])[];
  attachments: readonly { fileName: string; contentType: string; content: Buffer }[];
}

/** One message for one recipient, ready to go. */
export interface OutgoingMessage {
  /** Names the message towards the gate; never sent. */
  deliveryId: string;
  /** `{source id}.{delivery id}` without dashes: what a provider's events and look-ups name the message by. */
  correlation: string;
  /** Callers with different keys (lanes) take turns when connections are scarce. */
  lane: string;
  /** RFC 5321 reverse-path without angle brackets; empty for the null sender. */
  envelopeFrom: string;
  /** RFC 5321 forward-path without angle brackets; a Unicode domain is sent as punycode. */
  envelopeTo: string;
  /** The complete RFC 5322 message. Dot-stuffing is the connector's work; so is refusing bare CR and LF. */
  content: Buffer;
  /** The body holds octets above 127. A server without 8BITMIME (see {@link Connector.offers}) gives it back unsent. */
  eightBit: boolean;
  /** The header holds raw UTF-8 (RFC 6532): the server must offer SMTPUTF8. */
  smtpUtf8: boolean;
  /** The same message taken apart; made only when a connector asks for it. */
  structured?: () => StructuredMessage;
}

/** Whom a final refusal blames. Only `address` may ever lead to a suppression. */
export type RefusalScope = 'address' | 'sender' | 'message';

/**
 * What became of one message. The kinds differ in what is *known*:
 * - `accepted`: the receiving server took responsibility (RFC 5321 section 6.1).
 * - `throttled`: it asks us to slow down; says nothing against the recipient, burns no attempt.
 * - `transient`: it answered for this recipient with "later"; counts as an attempt.
 * - `permanent`: it refused for good. `suppress`: the address is known not to exist. `otherRoute`: this route can't
 *   carry the message (SMTPUTF8, RFC 6531), another might.
 * - `not-sent`: known not to be accepted, nobody's fault, nothing burnt. `inData` tells a drop inside the message's
 *   own DATA, which three times in a row counts as an attempt.
 * - `unavailable`: the route does not work (refused log-in, bad certificate, no connection, no SMTP); the recipient
 *   is unharmed, the breaker is told.
 * - `unknown`: the final dot (or the last byte of an HTTP request) was passed to the socket and no answer came, or an
 *   HTTP answer of 5xx that does not say whether the message was taken. Nothing else is ever unknown.
 */
export type SendOutcome =
  | {
      kind: 'accepted';
      providerMessageId: string | null;
      reply: string;
      /** The Message-ID that the provider put in the place of ours, without angle brackets; absent = ours stands. */
      messageId?: string;
    }
  | { kind: 'throttled'; retryAfterMs: number | null; code: number; enhanced: string | null; reply: string }
  | { kind: 'transient'; code: number | null; enhanced: string | null; reply: string }
  | {
      kind: 'permanent';
      scope: RefusalScope;
      suppress: boolean;
      otherRoute: boolean;
      code: number | null;
      enhanced: string | null;
      reply: string;
    }
  | { kind: 'not-sent'; cause: 'stopped' | 'fenced' | 'connection' | 'dropped-before-data'; inData: false }
  | { kind: 'not-sent'; cause: 'dropped-in-data'; inData: true }
  | { kind: 'unavailable'; cause: UnavailableCause; reply: string; retryAfterMs: number | null }
  | { kind: 'unknown'; cause: string };

/** Why a route does not work at all. */
export type UnavailableCause = 'authentication' | 'tls' | 'connect' | 'protocol';

/** Asked synchronously by the connector; answers must be cheap (look at memory, never at a database). */
export interface SendGate {
  /**
   * Asked right before a message's first byte (MAIL FROM), and again before its content.
   * False leaves the message unsent (`not-sent`, `stopped`).
   */
  mayBegin(deliveryId: string): boolean;
  /**
   * Asked once, when a connection has taken the message and would begin it at once. False: its slot has passed while it
   * waited for the connection, and it is left unsent (`not-sent`, `stopped`). Absent: it is not paced.
   */
  isOnTime?(): boolean;
  /** Asked before every socket write. False means the process lost its lease: all sockets are destroyed. */
  mayWrite(): boolean;
}

/** What a connector found out about its server without sending anything. */
export type Verification =
  | { ok: true; greeting: string; capabilities: string[]; tls: string | null; authenticated: boolean }
  | { ok: false; cause: UnavailableCause | 'throttled'; reply: string };

/** A message whose outcome is unknown, as its provider may know it. */
export interface LookupQuery {
  /** See {@link OutgoingMessage.correlation}. */
  correlation: string;
  envelopeTo: string;
  /** When it was begun. */
  begunAt: Date;
}

/** `found` proves acceptance. Not found proves nothing: what was just accepted may not be listed yet. */
export type Evidence =
  | { found: true; providerMessageId: string | null /** As in {@link SendOutcome}. */; messageId?: string }
  | { found: false };

export interface Connector {
  /**
   * Sends one message; never rejects. Call it for a whole group at once, so that messages share bursts.
   * @param gate asked before each step, see {@link SendGate}
   */
  send(message: OutgoingMessage, gate: SendGate): Promise<SendOutcome>;
  /** How many more messages could be begun within about 250 ms; 0 while the server can't be reached. */
  freePlaces(): number;
  /** What the server is known to offer; null before the first connection. Tells the composer which encoding to use. */
  offers(): { eightBitMime: boolean; smtpUtf8: boolean } | null;
  /** Begins nothing more, waits up to graceMs for answers, then destroys what is left. */
  close(graceMs: number): Promise<void>;
  /** Opens one connection of its own up to and including the log-in, and closes it. */
  verify(): Promise<Verification>;
  /**
   * Asks the provider about a message whose outcome is unknown. Null: it could not be asked now. Absent where the
   * provider has no such look-up; its events are the evidence there.
   */
  lookup?(query: LookupQuery): Promise<Evidence | null>;
}
