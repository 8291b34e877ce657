// Socket.IO with its Redis adapter. A client joins the room that ?room= names.
//   node socketio.js PORT REDIS-URL            the server
//   node socketio.js PORT REDIS-URL publish    a second process of the application: POST /ROOM emits the body
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { createAdapter } from '@socket.io/redis-adapter';
import Redis from 'ioredis';

const [port, url, publish] = process.argv.slice(2);
const http = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    io.to(decodeURIComponent(request.url.slice(1))).emit('m', Buffer.concat(parts).toString());
    response.end();
  });
});
const io = new Server(publish ? undefined : http, {
  transports: ['websocket'],
  serveClient: false,
  perMessageDeflate: false,
  adapter: createAdapter(new Redis(url), new Redis(url)),
});
io.on('connection', (socket) => socket.join(socket.handshake.query.room));
http.keepAliveTimeout = 0;
http.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 });
