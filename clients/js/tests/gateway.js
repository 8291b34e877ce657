/* The other end for the tests: a socket that does what it is told, and a clock that only moves by hand. */
import { connect } from '../syncgate.js';

export class FakeClock {
  time = 0; // monotonic
  set = 0; // by how much somebody set the time of day
  #timers = new Map();
  #last = 0;

  now() {
    return this.time + this.set;
  }

  monotonic() {
    return this.time;
  }

  setTimeout(run, wait_ms) {
    this.#timers.set(++this.#last, { run, at: this.time + wait_ms });
    return this.#last;
  }

  clearTimeout(timer) {
    this.#timers.delete(timer);
  }

  /* sleep is time in which nothing runs. */
  sleep(ms) {
    this.time += ms;
  }

  /* pass runs what comes due, in order. */
  pass(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.time = Math.max(this.time, due[1].at);
      due[1].run();
    }
    this.time = end;
  }

  get waiting() {
    return this.#timers.size;
  }
}

class FakeSocket {
  sent = [];
  closed = false;

  constructor(url) {
    this.url = url;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  open() {
    this.onopen({});
  }

  drop(reason = '') {
    this.onclose({ code: reason ? 1012 : 1006, reason });
  }

  tell(message) {
    this.onmessage({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }

  /* take returns what was sent since the last time. */
  take() {
    return this.sent.splice(0);
  }
}

/* start returns a client and its gateway; `gateway.socket` is the newest connection. It bears any silence unless told otherwise. */
export function start(options = {}) {
  const gateway = { clock: new FakeClock(), sockets: [] };
  Object.defineProperty(gateway, 'socket', { get: () => gateway.sockets.at(-1) });
  const client = connect('ws://gateway/ws/socksync/', {
    clock: gateway.clock,
    random: () => 0.5,
    aliveAfter: Infinity,
    socket: (url) => {
      gateway.sockets.push(new FakeSocket(url));
      return gateway.socket;
    },
    ...options,
  });
  return { client, gateway };
}

/* opened is `start` with the connection open. */
export function opened(options) {
  const pair = start(options);
  pair.gateway.socket.open();
  return pair;
}

/* seen collects what an event was emitted with. */
export function seen(emitter, event) {
  const all = [];
  emitter.on(event, (detail) => all.push(detail));
  return all;
}
