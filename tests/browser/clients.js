/* WebSocket clients without a browser, on bare sockets: some read, some do not. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

const TEXT = 0x81;

/* A short masked text frame. */
function frame(text) {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  const length = payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([TEXT, ...length]), mask, payload.map((byte, i) => byte ^ mask[i % 4])]);
}

export class Client {
  /** open connects and upgrades. Whatever comes afterwards is read and forgotten. */
  static async open({ host, port }, token) {
    const client = new Client();
    client.socket = connect(port, '127.0.0.1');
    client.socket.on('error', () => {});
    await once(client.socket, 'connect');
    client.socket.write(`GET /ws/socksync/ HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n${token ? `Authorization: Bearer ${token}\r\n` : ''}\r\n`);
    const [answer] = await once(client.socket, 'data');
    if (!answer.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(`no upgrade: ${answer}`);
    client.socket.resume();
    return client;
  }

  say(message) {
    this.socket.write(frame(JSON.stringify(message)));
  }

  subscribe(name, type = 'var') {
    this.say({ func: 'subscribe', type, name });
  }

  /** stall ends the reading. */
  stall() {
    this.socket.pause();
  }

  close() {
    this.socket.destroy();
  }
}
