import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { GatheringSocket } from './gathering-socket';

let server: Server;
let socket: GatheringSocket;
let peer: Socket;
let received: string;

beforeEach(async () => {
  received = '';
  server = createServer((connection) => {
    peer = connection;
    connection.on('data', (chunk) => {
      received += chunk.toString();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  socket = new GatheringSocket();
  socket.connect((server.address() as AddressInfo).port, '127.0.0.1');
  await Promise.all([once(socket, 'connect'), once(server, 'connection')]);
});
afterEach(async () => {
  socket.destroy();
  peer.destroy();
  server.close();
  await once(server, 'close');
});

const untilReceived = async (length: number): Promise<void> => {
  while (received.length < length) await once(peer, 'data');
};

it('holds what is written in one turn, and in the promises that follow from it, and then sends it in order', async () => {
  socket.write('BEGIN;');
  socket.cork();
  socket.write('first;');
  socket.uncork();
  expect(socket.writableLength).toBe(12);
  await Promise.resolve();
  socket.write(Buffer.from('second;'), () => undefined);
  expect(socket.writableLength).toBe(19);
  // Everything that waited has left with the turn.
  await new Promise(setImmediate);
  expect(socket.writableCorked).toBe(0);
  expect(socket.writableLength).toBe(0);
  await untilReceived(19);
  expect(received).toBe('BEGIN;first;second;');
});

it('sends what a later turn writes without being asked', async () => {
  socket.write('one;');
  await new Promise(setImmediate);
  socket.write('two;', 'utf8');
  socket.end('three;');
  await untilReceived(14);
  expect(received).toBe('one;two;three;');
});
