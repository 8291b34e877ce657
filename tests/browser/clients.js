/* WebSocket clients without a browser, on bare sockets: some read, some do not. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

const TEXT = 0x81;
const CLOSE = 0x88;

/* A short masked frame. */
function frame(text, kind = TEXT) {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  const length = payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([kind, ...length]), mask, payload.map((byte, i) => byte ^ mask[i % 4])]);
}

function upgrade(host, token) {
  return `GET /ws/socksync/ HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n${token ? `Authorization: Bearer ${token}\r\n` : ''}\r\n`;
}

/* takeFrame takes the first whole frame off `bytes`: { kind, text, rest }, or null while it is not there. A gateway masks nothing. */
function takeFrame(bytes) {
  if (bytes.length < 2) return null;
  const short = bytes[1] & 0x7f;
  const start = { 126: 4, 127: 10 }[short] ?? 2;
  if (bytes.length < start) return null;
  const length = { 2: () => short, 4: () => bytes.readUInt16BE(2), 10: () => Number(bytes.readBigUInt64BE(2)) }[start]();
  if (bytes.length < start + length) return null;
  return { kind: bytes[0], text: bytes.toString('utf8', start, start + length), rest: bytes.subarray(start + length) };
}

/** BareWebSocket is as much of a WebSocket as the client of this project needs, where Node.js has none (before 22). Like that of a
 * browser it has closed when the other end says so, or TCP. */
export class BareWebSocket {
  #bytes = Buffer.alloc(0);
  #open = false;

  constructor(url) {
    const { hostname, port, host } = new URL(url);
    this.socket = connect(Number(port), hostname, () => this.socket.write(upgrade(host)));
    this.socket.on('data', (data) => this.#take(data));
    this.socket.on('error', () => this.onerror?.({}));
    this.socket.on('close', () => this.onclose?.({ code: 1006, reason: '' }));
  }

  send(text) {
    this.socket.write(frame(text));
  }

  close() {
    this.socket.write(frame('', CLOSE));
  }

  #take(data) {
    this.#bytes = Buffer.concat([this.#bytes, data]);
    if (!this.#open) this.#answered(this.#bytes.indexOf('\r\n\r\n'));
    for (let found; this.#open && (found = takeFrame(this.#bytes)); ) {
      this.#bytes = found.rest;
      if (found.kind === TEXT) this.onmessage({ data: found.text });
      if (found.kind === CLOSE) this.socket.end();
    }
  }

  #answered(end) {
    if (end < 0) return;
    this.#open = this.#bytes.toString('latin1').startsWith('HTTP/1.1 101');
    this.#bytes = this.#bytes.subarray(end + 4);
    if (this.#open) this.onopen({});
    else this.socket.destroy();
  }
}

export class Client {
  /** open connects and upgrades. Whatever comes afterwards is read and forgotten. */
  static async open({ host, port }, token) {
    const client = new Client();
    client.socket = connect(port, '127.0.0.1');
    client.socket.on('error', () => {});
    await once(client.socket, 'connect');
    client.socket.write(upgrade(host, token));
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
