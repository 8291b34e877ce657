/* A TCP proxy before a gateway that can do what networks do: keep connections open and swallow what goes through them. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Swallower {
  #pairs = new Set();
  #swallowing = false;
  accepted = 0;

  async open(port) {
    this.server = createServer((client) => this.#accept(client, port)).listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.host = `127.0.0.1:${this.server.address().port}`;
    this.url = `ws://${this.host}/ws/socksync/`;
    return this;
  }

  #accept(client, port) {
    this.accepted++;
    const pair = { swallowed: this.#swallowing, ends: [client, connect(port, '127.0.0.1')] };
    this.#pairs.add(pair);
    this.#carry(pair, 0, 1);
    this.#carry(pair, 1, 0);
  }

  #carry(pair, from, to) {
    const [source, sink] = [pair.ends[from], pair.ends[to]];
    source.on('error', () => {});
    source.on('data', (data) => pair.swallowed || sink.write(data));
    source.on('close', () => pair.swallowed || sink.destroy()); // the end of one is nothing that the other hears of
  }

  /** swallow: what is open, and what will be opened, carries nothing any more and stays open. */
  swallow() {
    this.#swallowing = true;
    for (const pair of this.#pairs) pair.swallowed = true;
  }

  /** restore: what is opened from now on works. What was swallowed stays dead. */
  restore() {
    this.#swallowing = false;
  }

  async close() {
    for (const { ends } of this.#pairs) for (const end of ends) end.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}
