import { createTransport } from 'nodemailer';

/** One message as nodemailer is given it; it composes the MIME itself, as a program that uses it would. */
export interface ReferenceMessage {
  from: { name: string; address: string };
  to: { name: string; address: string };
  subject: string;
  text: string;
  html: string;
  /** With angle brackets. */
  messageId: string;
  headers: Record<string, string>;
}

export interface ReferenceOptions {
  /** Port of the sink on 127.0.0.1. */
  port: number;
  count: number;
  /** Makes the n-th message when its turn comes, so that memory holds only those under way. */
  message: (n: number) => ReferenceMessage;
  /** nodemailer's own signing; null for none. */
  dkim: { domainName: string; keySelector: string; privateKey: string } | null;
  /** Default 10, as nodemailer's users are advised. */
  connections?: number;
}

export interface ReferenceResult {
  sent: number;
  failed: number;
  seconds: number;
  perSecond: number;
  /** CPU of this process, user and system. */
  cpuMsPerMessage: number;
}

/** So many messages are handed over at once for each connection: enough to keep it busy, few enough for memory. */
const AHEAD = 10;

/**
 * Sends count messages through nodemailer's pool and measures from the first hand-over to the last answer. Connections
 * are never given up early (maxMessages is unlimited), which favours nodemailer.
 */
export async function sendWithNodemailer(options: ReferenceOptions): Promise<ReferenceResult> {
  const connections = options.connections ?? 10;
  const transport = createTransport({
    pool: true,
    host: '127.0.0.1',
    port: options.port,
    secure: false,
    ignoreTLS: true,
    maxConnections: connections,
    maxMessages: Number.POSITIVE_INFINITY,
    ...(options.dkim !== null && { dkim: options.dkim }),
  });
  let next = 0;
  let sent = 0;
  let failed = 0;
  const lane = async (): Promise<void> => {
    while (next < options.count) {
      const n = next++;
      try {
        await transport.sendMail(options.message(n));
        sent++;
      } catch {
        failed++;
      }
    }
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: Math.min(options.count, connections * AHEAD) }, lane));
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  transport.close();
  return {
    sent,
    failed,
    seconds,
    perSecond: sent / seconds,
    cpuMsPerMessage: (used.user + used.system) / 1000 / options.count,
  };
}
