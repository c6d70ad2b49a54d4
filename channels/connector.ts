/**
 * The one interface between Sally and whatever carries a message away (SMTP relays; provider APIs speak it too).
 * A connector never looks at the ledger: it says what became of one message, and the delivery activity decides
 * what that means for the row.
 */

/** One message for one recipient, ready to go. */
export interface OutgoingMessage {
  /** Names the message towards the gate; never sent. */
  deliveryId: string;
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
 * - `unknown`: the final dot was passed to the socket and no answer came. Nothing else is ever unknown.
 */
export type SendOutcome =
  | { kind: 'accepted'; providerMessageId: string | null; reply: string }
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
  /** Asked before every socket write. False means the process lost its lease: all sockets are destroyed. */
  mayWrite(): boolean;
}

/** What a connector found out about its server without sending anything. */
export type Verification =
  | { ok: true; greeting: string; capabilities: string[]; tls: string | null; authenticated: boolean }
  | { ok: false; cause: UnavailableCause | 'throttled'; reply: string };

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
}
