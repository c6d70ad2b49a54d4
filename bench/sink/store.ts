/** What the sink knows of one recipient token. Times are milliseconds since 1970 with fractions. */
export interface TokenRecord {
  /** Messages accepted under this token; above 1 is a duplicate. */
  count: number;
  recipient: string;
  /** When MAIL FROM of the last message with this token arrived. */
  begunAt: number;
  acceptedAt: number[];
}

/** Counts of the sink, made for hundreds of thousands of messages. */
export class SinkStore {
  tokens = new Map<string, TokenRecord>();
  messages = 0;
  duplicates = 0;
  octets = 0;
  headerFields = 0;
  mimeParts = 0;
  /** Messages without a token, or that are not the MIME structure they claim to be. */
  malformed = 0;
  connections = 0;
  dropped = 0;
  firstBegunAt = 0;
  lastBegunAt = 0;
  lastAcceptedAt = 0;
  private cpuStart = process.cpuUsage();

  begun(at: number): void {
    if (this.firstBegunAt === 0) {
      this.firstBegunAt = at;
    }
    this.lastBegunAt = at;
  }

  accept(token: string, recipient: string, begunAt: number, at: number): void {
    this.messages++;
    this.lastAcceptedAt = at;
    const record = this.tokens.get(token);
    if (record === undefined) {
      this.tokens.set(token, { count: 1, recipient, begunAt, acceptedAt: [at] });
    } else {
      this.duplicates++;
      record.count++;
      record.begunAt = begunAt;
      record.acceptedAt.push(at);
    }
  }

  counts() {
    const cpu = process.cpuUsage(this.cpuStart);
    return {
      messages: this.messages,
      tokens: this.tokens.size,
      duplicates: this.duplicates,
      malformed: this.malformed,
      octets: this.octets,
      headerFields: this.headerFields,
      mimeParts: this.mimeParts,
      connections: this.connections,
      dropped: this.dropped,
      firstBegunAt: this.firstBegunAt,
      lastBegunAt: this.lastBegunAt,
      lastAcceptedAt: this.lastAcceptedAt,
      cpuMs: { user: cpu.user / 1000, system: cpu.system / 1000 },
    };
  }

  reset(): void {
    this.tokens = new Map();
    this.messages = 0;
    this.duplicates = 0;
    this.octets = 0;
    this.headerFields = 0;
    this.mimeParts = 0;
    this.malformed = 0;
    this.connections = 0;
    this.dropped = 0;
    this.firstBegunAt = 0;
    this.lastBegunAt = 0;
    this.lastAcceptedAt = 0;
    this.cpuStart = process.cpuUsage();
  }
}
