// Node.js, ws and ioredis: what one would write oneself. A client gets the channel that its path names.
//   node ws.js PORT REDIS-URL
import { WebSocketServer } from 'ws';
import Redis from 'ioredis';

const [port, url] = process.argv.slice(2);
const redis = new Redis(url);
const channels = new Map(); // name -> its sockets

redis.on('messageBuffer', (channel, message) => {
  for (const socket of channels.get(channel.toString()) ?? []) socket.send(message, { binary: false });
});

new WebSocketServer({ host: '127.0.0.1', port: Number(port), perMessageDeflate: false, backlog: 4096 }).on(
  'connection',
  (socket, request) => {
    const name = decodeURIComponent(request.url.slice(1));
    if (!channels.has(name)) {
      channels.set(name, new Set());
      redis.subscribe(name);
    }
    channels.get(name).add(socket);
    socket.on('close', () => channels.get(name).delete(socket));
    socket.on('error', () => {});
  },
);
