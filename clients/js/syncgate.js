/* A client of the syncgate gateway (SockSync v1) for browsers: live variables, live pages of lists, single items, calls, and
 * functions that this side serves. One WebSocket; when it breaks it is opened again, with backoff and jitter, and everything
 * that was subscribed is subscribed again. No dependencies. The manual is README.md. */

/** The error codes of the protocol. */
export const CODE = Object.freeze({
  FUNC: 1, // unknown func, or no subscription or grant for it
  TYPE: 2,
  NAME: 3, // malformed, unknown or hidden
  ID: 4,
  MISSING: 5,
  ARGUMENTS: 6,
  JSON: 7,
  OTHER: 8,
});

/** What a call fails with, and what a served function throws to choose its error code. */
export class SyncgateError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'SyncgateError';
    this.code = code;
  }
}

/* Listeners by event name. What one of them throws neither reaches the others nor us. */
class Emitter {
  #listeners = new Map();

  /** on adds a listener and returns a function that takes it away. */
  on(event, listener) {
    const list = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, list.add(listener));
    return () => list.delete(listener);
  }

  emit(event, detail) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(detail);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }
}

/* Full waits are never equal among clients that lost the same gateway: half of each is random. */
function backoff(attempt, { min, max }, random) {
  const ceiling = Math.min(max, min * 2 ** Math.min(attempt, 30));
  return ceiling / 2 + (ceiling / 2) * random();
}

/* A gateway that ends says in the reason of its close when to come back, so that its clients do not come at once. null: it says
 * nothing of the kind. More than ten minutes are nobody's intention. */
function toldWait(reason) {
  const told = /(?:^|\s)retry=(\d{1,9})ms(?:$|\s)/.exec(reason ?? '');
  return told && Math.min(Number(told[1]), 600000);
}

const UNKNOWN_RETRY = { min: 1000, max: 15000 };

/* `now` is the time of day, to be shown, and may be set; durations are measured with `monotonic`. */
const realClock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (run, wait_ms) => setTimeout(run, Math.min(wait_ms, 2 ** 31 - 1)), // a longer one would end at once
  clearTimeout: (timer) => clearTimeout(timer),
};

const ANSWER_MS = 5000; // how long a gateway that is asked whether it is there may take
const ANSWER_DOUBLINGS = 4; // see Client.#patience

/* Whether the other end is still there. A network that goes away says nothing, and browsers show no WebSocket pings: after `quiet`
 * ms in which nothing was heard `ask` is called, and `gone` when then nothing is heard for `patience()` ms. Hearing something
 * costs no more than reading the clock; the one timer looks at the time when it ends. */
class Vigil {
  #now;
  #clock;
  #on;
  #heardAt = 0;
  #asked = 0; // times, since something was heard
  #timer = null;

  constructor(now, clock, on) {
    this.#now = now;
    this.#clock = clock;
    this.#on = on; // { quiet, patience, ask, gone }
  }

  begin() {
    this.heard();
    this.#wait(this.#on.quiet);
  }

  end() {
    this.#clock.clearTimeout(this.#timer);
  }

  heard() {
    this.#heardAt = this.#now();
    this.#asked = 0;
  }

  /* ask does not wait for the silence, but for an answer that is awaited already. */
  ask() {
    if (this.#asked === 0) this.#ask();
  }

  #ask() {
    this.#asked++;
    this.#wait(this.#on.patience());
    this.#on.ask();
  }

  #wait(ms) {
    const due = this.#now() + ms;
    this.end();
    if (ms < Infinity) this.#timer = this.#clock.setTimeout(() => this.#look(this.#now() - due), ms);
  }

  /* A timer that ends late says that we were asleep, and what came meanwhile may be in line behind it: that asks once more. */
  #look(late) {
    const left = this.#heardAt + this.#on.quiet - this.#now();
    const decided = this.#asked > 1 || (this.#asked === 1 && late < ANSWER_MS);
    if (decided) this.#on.gone();
    else if (this.#asked === 0 && left > 0) this.#wait(left);
    else this.#ask();
  }
}

/* onAwake calls `run` whenever this page, or its network, may have been away. Not in browsers: never. */
function onAwake(run, signal) {
  const { document } = globalThis;
  const on = (target, event, counts) =>
    target?.addEventListener?.(event, (detail) => counts(detail) && run(), { signal });
  on(globalThis, 'online', () => true);
  on(globalThis, 'pageshow', (event) => event.persisted); // out of the back/forward cache
  on(document, 'visibilitychange', () => document.visibilityState === 'visible');
  on(document, 'resume', () => true);
}

/* What is subscribed at the gateway: asked for on every new connection, asked for again when it was refused.
 *
 * state: 'pending'  asked or not connected; what is held may be old
 *        'live'     what is held is what the gateway told last
 *        'unknown'  the gateway knows no such name (error 3); it tells when there is one. A gateway that does not wait for names
 *                   is asked again now and then, and after each own write
 *        'failed'   refused for another reason (`error` says which); asked again now and then
 *        'closed'   given up by close()
 * events: 'change' (see the classes), 'state', 'error' ({ code, message, during: 'subscribe' | 'write' }) */
class Subscription extends Emitter {
  constructor(client, type, name) {
    super();
    this.client = client;
    this.type = type;
    this.name = name;
    this.state = 'pending';
    this.error = null;
    this._users = 0;
    this._outstanding = []; // 'subscribe' and 'write', in the order sent, while it is not live
    this._waiting = false; // subscribed to a name that is not there yet
    this._refusals = 0;
    this._retry = null;
  }

  /** close gives it up; the last of those who asked for it ends the subscription. */
  close() {
    if (this.state === 'closed' || --this._users > 0) return;
    const asked = this.state === 'live' || this._waiting || this._outstanding.includes('subscribe');
    if (asked) this.client._send(this._message('unsubscribe'));
    this.client._forget(this);
    this._cancelRetry();
    this._enter('closed');
  }

  /* Is there an answer to come that may be large? */
  get _awaits() {
    return this.state === 'pending';
  }

  _message(func, fields) {
    return { func, type: this.type, name: this.name, ...fields };
  }

  _enter(state, error = null) {
    this.error = error;
    if (this.state === state) return;
    this.state = state;
    this.emit('state', state);
  }

  _cancelRetry() {
    this.client._clock.clearTimeout(this._retry);
    this._retry = null;
  }

  /* The connection is open: nothing is known of us there. */
  _start() {
    this._outstanding = [];
    this._waiting = false;
    this._subscribe();
  }

  /* More that its `subscribe` says. */
  _wish() {
    return {};
  }

  _subscribe() {
    this._cancelRetry();
    if (this.client._send(this._message('subscribe', { wait: true, ...this._wish() }))) this._outstanding.push('subscribe');
  }

  _lost() {
    this._cancelRetry();
    this._enter('pending');
  }

  _live() {
    this._cancelRetry();
    this._refusals = 0;
    this._outstanding = [];
    this._waiting = false;
    this._enter('live');
  }

  /* A write makes a name that was unknown, so that is when to ask again. */
  _write(message) {
    const sent = this.client._send(message);
    if (sent && this.state !== 'live') {
      this._outstanding.push('write');
      if (!this._waiting) this._subscribe();
    }
    return sent;
  }

  /* Error frames do not say which message they answer. Unknown names and failures may answer either, in the order sent. */
  _cause(code) {
    if (this.state === 'live') return 'write';
    if (code === CODE.NAME || code === CODE.OTHER) return this._outstanding.shift() ?? 'subscribe';
    const write = this._outstanding.indexOf('write');
    if (write >= 0) this._outstanding.splice(write, 1);
    return 'write';
  }

  _failed({ error_code: code, message = '', waiting = false }) {
    const error = { code, message, during: this._cause(code) };
    if (error.during === 'subscribe') {
      this._enter(code === CODE.NAME ? 'unknown' : 'failed', error);
      this._cancelRetry();
      this._waiting = waiting;
      if (!waiting) this._askLater();
    }
    this.emit('error', error);
  }

  _askLater() {
    const wait = backoff(this._refusals++, UNKNOWN_RETRY, this.client._random);
    this._retry = this.client._clock.setTimeout(() => this._subscribe(), wait);
  }
}

/** A variable. 'change' is emitted with its value. */
export class Variable extends Subscription {
  constructor(client, name) {
    super(client, 'var', name);
    this.value = undefined;
  }

  /** set writes it (needs the grant); false when not connected. The own change comes back like everyone's. */
  set(value) {
    return this._write(this._message('set', { value }));
  }

  _frame(message) {
    this.value = message.value;
    this._live();
    this.emit('change', this.value);
  }
}

/** One item of a list, on whatever page. 'change' is emitted with its value, 'gone' when it left the list. */
export class Item extends Subscription {
  constructor(client, name, id) {
    super(client, 'list', name);
    this.id = id;
    this.value = undefined;
    this.gone = false;
  }

  _message(func, fields) {
    return super._message(func, { id: this.id, ...fields });
  }

  _frame(message) {
    if (message.func === 'delete') {
      this._end();
      return;
    }
    this.value = message.value;
    this._live();
    this.emit('change', this.value);
  }

  _failed(message) {
    if (message.error_code === CODE.ID) this._end();
    else super._failed(message);
  }

  _end() {
    this.gone = true;
    this.value = undefined;
    this.client._forget(this);
    this._cancelRetry();
    this._enter('closed');
    this.emit('gone');
  }
}

/** A page of a list, always the true slice.
 *
 * 'change' is emitted with { kind, id, index }, kind being 'reset' (another page, or all of it new), 'insert', 'set',
 * 'delete' (index within the page) or 'count' (only the total). */
export class List extends Subscription {
  constructor(client, name) {
    super(client, 'list', name);
    this.items = []; // [{ id, value }]
    this.page = 0;
    this.total = 0; // of the whole list
    this._wanted = { page: 0, pageSize: null };
    this._begunWith = null; // what was wanted when it was subscribed
    this._ownersSize = null; // the owner's maximum, once seen
    this._asked = 0; // pages asked for that have not come
  }

  /** loading: another page was asked for and has not come; `items` is still the one before. */
  get loading() {
    return this._asked > 0;
  }

  get _awaits() {
    return super._awaits || this.loading;
  }

  /** pageSize: items on a full page, as far as that is known. */
  get pageSize() {
    const size = Math.min(this._wanted.pageSize ?? Infinity, this._ownersSize ?? Infinity);
    return Number.isFinite(size) ? size : Math.max(this.items.length, 1);
  }

  get pages() {
    return Math.max(1, Math.ceil(this.total / this.pageSize));
  }

  /** start: the position of the first held item in the whole list. */
  get start() {
    return this.page * this.pageSize;
  }

  indexOf(id) {
    return this.items.findIndex((item) => item.id === id);
  }

  /** go asks for another page, or another size (null: the owner's maximum). */
  go(page, pageSize = this._wanted.pageSize) {
    this._wanted = { page, pageSize };
    if (this.state === 'live') this._get();
  }

  /* The writes need the grant and return false when not connected. Indexes count from the start of the whole list; -1 is its end. */
  insert(index, id, value) {
    return this._write(this._message('insert', { index, id, value }));
  }

  append(id, value) {
    return this.insert(-1, id, value);
  }

  set(id, value) {
    return this._write(this._message('set', { id, value }));
  }

  delete(id) {
    return this._write(this._message('delete', { id }));
  }

  /** move takes an item, on whatever page, to `index`, its final place. */
  move(id, index) {
    return this._write(this._message('move', { id, index }));
  }

  /** setAll replaces the whole list with [{ id, value }]. */
  setAll(items) {
    return this._write(this._message('set_all', { page: 0, total_item_count: items.length, items }));
  }

  _start() {
    this._asked = 0;
    super._start();
  }

  _wish() {
    const { page, pageSize } = (this._begunWith = this._wanted);
    return { ...(page > 0 && { page }), ...(pageSize !== null && { page_size: pageSize }) };
  }

  _get() {
    const { page, pageSize } = this._wanted;
    const fields = pageSize === null ? { page } : { page, page_size: pageSize };
    if (this.client._send(this._message('get', fields))) this._asked++;
  }

  _failed(message) {
    this._asked = 0;
    super._failed(message);
  }

  _frame(message) {
    const apply = List.#apply[message.func];
    if (this.state !== 'live' && message.func !== 'set_all') return; // of a subscription that ended
    const change = apply?.call(this, message);
    if (change && !this.loading) this.emit('change', change);
  }

  static #apply = {
    set_all(message) {
      this.items = message.items.map(({ id, value }) => ({ id, value }));
      this.page = message.page;
      this.total = message.total_item_count;
      this._asked = Math.max(0, this._asked - 1);
      const first = this.state !== 'live';
      this._learnSize(first ? this._begunWith : this._wanted);
      this._live();
      if (first && this._wanted !== this._begunWith) this._get(); // go() was called meanwhile
      if (!this.loading) this._wanted.page = this.page; // the gateway clamps
      return { kind: 'reset' };
    },

    insert({ index, id, value }) {
      if (!(index >= 0 && index <= this.items.length) || this.indexOf(id) >= 0) return this._resync();
      this.items.splice(index, 0, { id, value });
      this.total++;
      return { kind: 'insert', id, index };
    },

    /* An item that is not on the page concerns an Item only. */
    delete({ id }) {
      const index = this.indexOf(id);
      if (index < 0) return null;
      this.items.splice(index, 1);
      this.total--;
      return { kind: 'delete', id, index };
    },

    set({ id, value }) {
      const index = this.indexOf(id);
      if (index < 0) return null;
      this.items[index] = { id, value };
      return { kind: 'set', id, index };
    },

    set_count({ total_item_count: total }) {
      this.total = total;
      return { kind: 'count' };
    },
  };

  /* A first page that is not as large as asked although the list goes on is as large as its owner allows. */
  _learnSize(wanted) {
    const held = this.items.length;
    const asked = wanted.pageSize ?? Infinity;
    if (this.page === 0 && held < this.total && held < asked) this._ownersSize = held;
    if (this._ownersSize !== null && held > this._ownersSize) this._ownersSize = held;
  }

  /* What was told does not fit what is held: ask for the page again. */
  _resync() {
    this._get();
    return null;
  }
}

/* A function served from here. 'state' and 'error' as with every subscription; it is 'live' from the moment it was sent,
 * because the gateway answers only to refuse. */
class Served extends Subscription {
  constructor(client, name, handler) {
    super(client, 'function', name);
    this._handler = handler;
  }

  /** stop: calls no longer come here. Those that run are still answered. */
  stop() {
    this.close();
  }

  _start() {
    if (this.client._send(this._message('subscribe'))) this._enter('live');
  }

  /* Only a grant would change the answer, and grants come with a connection. */
  _failed({ error_code: code, message = '' }) {
    const error = { code, message, during: 'subscribe' };
    this._enter('failed', error);
    this.emit('error', error);
  }

  async _call({ id, args }, reply) {
    try {
      const value = await this._handler(args ?? {}, { id, name: this.name });
      reply(this._message('return', value === undefined ? { id } : { id, value }));
    } catch (error) {
      const code = error instanceof SyncgateError ? error.code : CODE.OTHER;
      const message = String(error?.message ?? error);
      reply(this._message('error', { id, error_code: code, message }));
    }
  }
}

/** connect opens a connection that keeps itself open. See README.md for `options`. */
export function connect(url, options) {
  return new Client(url, options);
}

/** The connection.
 *
 * state: 'connecting', 'open', 'waiting' (for the next attempt, at `retryAt`), 'closed' (by close())
 * functions: names that may be called, as the gateway announced them
 * events: 'state', 'functions', 'frame' ({ direction: 'in' | 'out', text, message }), 'error' (an error frame) */
export class Client extends Emitter {
  #subscriptions = new Map();
  #calls = new Map();
  #lastCall = 0;
  #callPrefix; // so that our ids are not those of the calls that come to us
  #socket = null;
  #timer = null;
  #openedAt = 0;
  #vigil;
  #unfinished = 0; // connections in a row that went silent while there were answers to come
  #ended = new AbortController();

  constructor(url, options = {}) {
    super();
    this.url = url;
    this.state = 'connecting';
    this.attempt = 0;
    this.retryAt = null;
    this.functions = new Set();
    this._clock = options.clock ?? realClock;
    this._random = options.random ?? Math.random;
    this.#callPrefix = `${Math.floor(this._random() * 36 ** 5).toString(36)}-`;
    this._makeSocket = options.socket ?? ((address) => new WebSocket(address, 'socksync.v1'));
    this._backoff = { min: options.backoffMin ?? 500, max: options.backoffMax ?? 20000 };
    this._connectTimeout = options.connectTimeout ?? 10000;
    this._callTimeout = options.callTimeout ?? 60000;
    this.#vigil = new Vigil(() => this.#elapsed(), this._clock, {
      quiet: options.aliveAfter ?? 25000,
      patience: () => this.#patience(),
      ask: () => this._send({ func: 'ping' }),
      gone: () => this.#silent(),
    });
    onAwake(() => this.#awake(), this.#ended.signal);
    this.#open();
  }

  /* ---- what it is for ---- */

  /** variable: the one object of that name; each call of this needs a close(). */
  variable(name) {
    return this.#take(`var ${name}`, () => new Variable(this, name));
  }

  /** list: the one object of that name; a connection has one page of each list. */
  list(name, { page = 0, pageSize = null } = {}) {
    return this.#take(`list ${name}`, () => {
      const list = new List(this, name);
      list._wanted = { page, pageSize };
      return list;
    });
  }

  /** item follows one item of a list; with or without the list. */
  item(name, id) {
    return this.#take(itemKey(name, id), () => new Item(this, name, id));
  }

  /** serve answers calls of a function: handler(args, { id, name }) returns the value or a promise of it, or throws. */
  serve(name, handler) {
    const served = this.#take(`function ${name}`, () => new Served(this, name, handler));
    served._handler = handler;
    return served;
  }

  /** call asks whoever serves the function. Before the connection is open it waits; when it breaks the call fails, because
   * nobody can know whether it ran. */
  call(name, args, { timeout = this._callTimeout } = {}) {
    const id = `${this.#callPrefix}${++this.#lastCall}`;
    const message = { func: 'call', type: 'function', name, id };
    if (args !== undefined) message.args = args;
    return new Promise((resolve, reject) => {
      const sent = this._send(message);
      const timer = this._clock.setTimeout(() => {
        this.#settle(id, (call) => call.reject(new SyncgateError(CODE.OTHER, 'timeout')));
      }, timeout);
      this.#calls.set(id, { message, resolve, reject, timer, sent });
      if (this.state === 'closed') this.#settle(id, () => reject(new SyncgateError(CODE.OTHER, 'closed')));
    });
  }

  /** retry tries at once instead of waiting. */
  retry() {
    if (this.state === 'waiting') this.#open();
  }

  /** close ends it for good. */
  close() {
    if (this.state === 'closed') return;
    this.#ended.abort();
    this.#vigil.end();
    this._clock.clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#dropConnection(() => true, 'closed');
    for (const subscription of [...this.#subscriptions.values()]) {
      this._forget(subscription);
      subscription._enter('closed');
    }
    this.#enter('closed');
  }

  /* ---- the connection ---- */

  #enter(state) {
    this.state = state;
    this.emit('state', state);
  }

  #open() {
    this._clock.clearTimeout(this.#timer);
    this.retryAt = null;
    const socket = this._makeSocket(this.url);
    this.#socket = socket;
    const current = (run) => (event) => {
      if (this.#socket === socket) run(event);
    };
    socket.onopen = current(() => this.#opened());
    socket.onmessage = current(({ data }) => this.#received(data));
    socket.onclose = current((event) => this.#lost(event.reason));
    socket.onerror = () => {}; // `close` follows
    this.#timer = this._clock.setTimeout(() => this.#abandon(), this._connectTimeout);
    this.#enter('connecting');
  }

  #elapsed() {
    return (this._clock.monotonic ?? this._clock.now).call(this._clock);
  }

  /* A connection that was away may be dead without a word, and a wait that began before may be for nothing. */
  #awake() {
    if (this.state === 'open') this.#vigil.ask();
    else this.retry();
  }

  /* A message is heard once all of it is there. On a line so slow that the first states take longer than we wait, each
   * connection would be given up and the next ask for the same again: so each of these is waited for longer. */
  #patience() {
    if (!this.#awaits()) this.#unfinished = 0;
    return ANSWER_MS * 2 ** Math.min(this.#unfinished, ANSWER_DOUBLINGS);
  }

  #awaits() {
    return [...this.#subscriptions.values()].some((subscription) => subscription._awaits);
  }

  #silent() {
    if (this.#awaits()) this.#unfinished++;
    this.#abandon();
  }

  /* The socket of a dead connection may take minutes to say that it has closed: it is not waited for, nor heard again. */
  #abandon() {
    const socket = this.#socket;
    this.#lost();
    socket.close();
  }

  #opened() {
    this._clock.clearTimeout(this.#timer);
    this.#openedAt = this.#elapsed();
    this.#vigil.begin();
    this.#enter('open');
    for (const subscription of [...this.#subscriptions.values()]) subscription._start();
    for (const call of this.#calls.values()) call.sent ||= this._send(call.message);
  }

  /* A gateway that accepts and drops at once is not asked faster than one that does not accept. One that says when to come
   * back has chosen a time of its own for each client: nothing is added to it. */
  #lost(reason) {
    const told = toldWait(reason);
    const lasted = told !== null || this.state === 'open' && this.#elapsed() - this.#openedAt >= 5000;
    this.#vigil.end();
    this._clock.clearTimeout(this.#timer);
    this.#socket = null;
    this.attempt = lasted ? 0 : this.attempt;
    const wait = told ?? backoff(this.attempt++, this._backoff, this._random);
    this.retryAt = this._clock.now() + wait;
    this.#timer = this._clock.setTimeout(() => this.#open(), wait);
    this.#dropConnection((call) => call.sent, 'the connection was lost');
    this.#enter('waiting');
  }

  #dropConnection(fails, why) {
    for (const [id, call] of [...this.#calls])
      if (fails(call)) this.#settle(id, () => call.reject(new SyncgateError(CODE.OTHER, why)));
    for (const subscription of this.#subscriptions.values()) subscription._lost();
    this.functions.clear();
    this.#announce();
  }

  /* _send returns false, having done nothing, when there is no open connection. */
  _send(message) {
    if (this.state !== 'open') return false;
    const text = JSON.stringify(message);
    this.#socket.send(text);
    this.emit('frame', { direction: 'out', text, message });
    return true;
  }

  /* ---- subscriptions ---- */

  #take(key, make) {
    let subscription = this.#subscriptions.get(key);
    if (!subscription) {
      subscription = make();
      subscription._key = key;
      this.#subscriptions.set(key, subscription);
      if (this.state === 'open') subscription._start();
    }
    subscription._users++;
    return subscription;
  }

  _forget(subscription) {
    if (this.#subscriptions.get(subscription._key) === subscription) this.#subscriptions.delete(subscription._key);
  }

  /* ---- frames ---- */

  #received(text) {
    this.#vigil.heard();
    let message = null;
    try {
      message = JSON.parse(text);
    } catch {
      // Shown to whoever watches the frames, and of no other use.
    }
    this.emit('frame', { direction: 'in', text, message });
    if (message !== null && typeof message === 'object' && Object.hasOwn(Client.#on, message.func))
      Client.#on[message.func](this, message);
  }

  static #on = {
    set: (client, message) => client.#data(message),
    set_all: (client, message) => client.#data(message),
    set_count: (client, message) => client.#data(message),
    insert: (client, message) => client.#data(message),
    delete: (client, message) => client.#data(message),
    subscribe: (client, { type, name }) => {
      if (type === 'function') client.functions.add(name) && client.#announce(); // else: permission to write
    },
    unsubscribe: (client, { type, name }) => {
      if (type === 'function' && client.functions.delete(name)) client.#announce();
    },
    unsubscribe_all: (client) => {
      client.functions.clear();
      client.#announce();
    },
    call: (client, message) => client.#called(message),
    return: (client, { id, value }) => client.#settle(id, (call) => call.resolve(value)),
    error: (client, message) => client.#failed(message),
  };

  #announce() {
    this.emit('functions', this.functions);
  }

  #data(message) {
    this.#subscriptions.get(`${message.type} ${message.name}`)?._frame(message);
    if (message.type !== 'list' || message.id === undefined) return;
    const item = this.#subscriptions.get(itemKey(message.name, message.id));
    if (message.func === 'set') item?._frame(message);
    /* A list subscriber's `delete` means "left your page" unless it says that the item is gone. */
    const list = this.#subscriptions.get(`list ${message.name}`);
    if (message.func === 'delete' && (message.gone || list?.state !== 'live')) item?._frame(message);
  }

  #called(message) {
    const socket = this.#socket;
    const reply = (answer) => {
      if (this.#socket === socket) this._send(answer);
    };
    const served = this.#subscriptions.get(`function ${message.name}`);
    if (served) served._call(message, reply);
    else reply({ ...message, func: 'error', error_code: CODE.FUNC, message: 'not served', args: undefined });
  }

  #failed(message) {
    const { type, name, id } = message;
    if (message.error_code === CODE.FUNC && type === undefined) return; // of a gateway that knows no `ping`: an answer too
    this.emit('error', message);
    if (type === 'function' && id !== undefined) {
      this.#settle(id, (call) => call.reject(new SyncgateError(message.error_code, message.message ?? 'error')));
      return;
    }
    const item = id === undefined ? null : this.#subscriptions.get(itemKey(name, id));
    const whole = this.#subscriptions.get(`${type} ${name}`);
    (item && item.state !== 'live' ? item : (whole ?? item))?._failed(message);
  }

  #settle(id, how) {
    const call = this.#calls.get(String(id));
    if (!call) return;
    this.#calls.delete(String(id));
    this._clock.clearTimeout(call.timer);
    how(call);
  }
}

/* 1 and "1" are two ids. */
function itemKey(name, id) {
  return `item ${JSON.stringify(id)} ${name}`;
}
