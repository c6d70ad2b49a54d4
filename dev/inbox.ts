import { createServer, type Server, type Socket } from 'node:net';
import { createInboxServer } from './inbox/http';
import { SmtpSession } from './inbox/smtp-session';
import { MessageStore } from './inbox/store';
import { LOOPBACK } from './ports';

export interface InboxOptions {
  /** 0 = chosen by the system. */
  smtpPort: number;
  httpPort: number;
  /** Messages kept; the oldest go first. Default 20,000. */
  capacity?: number;
}

export interface Inbox {
  smtpUrl: string;
  httpUrl: string;
  store: MessageStore;
  close(): Promise<void>;
}

const LIMITS = { maxMessageBytes: 30 * 1024 * 1024, maxRecipients: 1_000 };

/** A mail server on loopback that captures whatever it gets, and shows it in a browser. It never forwards anything. */
export async function startInbox(options: InboxOptions): Promise<Inbox> {
  const store = new MessageStore(options.capacity);
  const sockets = new Set<Socket>();
  const smtp = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    new SmtpSession(socket, (from, to, raw) => store.add(from, to, raw, new Date()), LIMITS);
  });
  const http = createInboxServer(store);
  const smtpPort = await listen(smtp, options.smtpPort);
  const httpPort = await listen(http, options.httpPort);
  return {
    smtpUrl: `smtp://${LOOPBACK}:${smtpPort}`,
    httpUrl: `http://${LOOPBACK}:${httpPort}`,
    store,
    close: async () => {
      http.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await Promise.all([smtp, http].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, LOOPBACK, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}
