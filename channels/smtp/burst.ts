import type { Connection } from './connection';
import { isWireClean, wireBound, writeWire } from './wire';

const EMPTY = Buffer.alloc(0);

/**
 * Bytes put together for one socket write. The memory is used again as long as the kernel takes everything at once,
 * so that sending a message allocates nothing.
 */
export class Burst {
  private scratch = EMPTY;
  private used = 0;

  get empty(): boolean {
    return this.used === 0;
  }

  append(text: string): void {
    this.reserve(text.length * 3);
    this.used += this.scratch.write(text, this.used);
  }

  /** A whole message, dots stuffed, without its final dot. */
  appendContent(content: Buffer): void {
    if (isWireClean(content)) {
      this.appendClean(content);
    } else {
      this.reserve(wireBound(content));
      this.used = writeWire(content, this.scratch, this.used);
    }
  }

  /** Octets that may leave as they are. */
  appendClean(content: Buffer): void {
    this.reserve(content.length);
    content.copy(this.scratch, this.used);
    this.used += content.length;
  }

  writeTo(connection: Connection): void {
    connection.write(this.scratch.subarray(0, this.used));
    this.used = 0;
    if (!connection.flushed) {
      // The socket still holds these bytes.
      this.scratch = EMPTY;
    }
  }

  private reserve(octets: number): void {
    const needed = this.used + octets;
    if (needed > this.scratch.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(16 * 1024, needed + 1024));
      this.scratch.copy(larger, 0, 0, this.used);
      this.scratch = larger;
    }
  }
}
