/* Connections that die without a word. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { opened, seen, start } from './gateway.js';

const QUIET = 25000;
const ANSWER = 5000;
const PING = { func: 'ping' };
const PONG = { func: 'pong' };
const price = (value) => ({ func: 'set', type: 'var', name: 'price', value });
const todo = (func, fields) => ({ func, type: 'list', name: 'todo', ...fields });

/* watched is an open connection with a live variable, quiet from now on. */
function watched(options) {
  const pair = opened({ aliveAfter: undefined, ...options });
  pair.price = pair.client.variable('price');
  pair.gateway.socket.tell(price(1));
  pair.gateway.socket.take();
  return pair;
}

const reopen = ({ client, gateway }) => {
  client.retry();
  gateway.socket.open();
  return gateway.socket;
};

test('a silent connection is asked, and with an answer asked again after the next silence', () => {
  const { client, gateway } = watched();
  for (let i = 0; i < 5; i++) {
    gateway.clock.pass(QUIET - 1);
    assert.deepEqual(gateway.socket.take(), []);
    gateway.clock.pass(1);
    assert.deepEqual(gateway.socket.take(), [PING]);
    gateway.socket.tell(PONG);
  }
  assert.equal(client.state, 'open');
  assert.equal(gateway.sockets.length, 1);
});

test('without an answer it is given up, and what it held becomes live on the next', async () => {
  const pair = watched();
  const { client, gateway } = pair;
  const old = gateway.socket;
  const states = seen(client, 'state');
  const call = client.call('add');
  old.take();
  gateway.clock.pass(QUIET);
  assert.deepEqual(old.take(), [PING]);
  gateway.clock.pass(ANSWER - 1);
  assert.equal(client.state, 'open');
  gateway.clock.pass(1);
  assert.equal(client.state, 'waiting');
  assert.equal(pair.price.state, 'pending');
  assert.equal(pair.price.value, 1); // stays to be shown
  assert.ok(old.closed);
  await assert.rejects(call, { code: 8, message: 'the connection was lost' });
  assert.equal(client.retryAt - gateway.clock.time, 375); // as after any connection that lasted
  gateway.clock.pass(375);
  gateway.socket.open();
  assert.deepEqual(gateway.socket.take(), [{ func: 'subscribe', type: 'var', name: 'price', wait: true }]);
  gateway.socket.tell(price(2));
  assert.equal(pair.price.value, 2);
  assert.equal(pair.price.state, 'live');
  assert.deepEqual(states, ['waiting', 'connecting', 'open']);
});

test('whatever the dead socket says afterwards is not heard', () => {
  const pair = watched();
  const old = pair.gateway.socket;
  pair.gateway.clock.pass(QUIET + ANSWER);
  const socket = reopen(pair);
  old.tell(price(7));
  old.drop();
  assert.equal(pair.price.value, 1);
  assert.equal(pair.client.state, 'open');
  assert.equal(pair.gateway.socket, socket);
});

test('any frame is a sign of life, nonsense included', () => {
  for (const sign of [price(3), 'nonsense', '[]', { func: 'error', error_code: 8 }, { func: 'jump' }]) {
    const { client, gateway } = watched();
    gateway.clock.pass(QUIET - 1);
    gateway.socket.tell(sign);
    gateway.clock.pass(QUIET - 1);
    assert.deepEqual(gateway.socket.take(), []);
    gateway.clock.pass(1);
    assert.deepEqual(gateway.socket.take(), [PING]);
    gateway.socket.tell(sign);
    gateway.clock.pass(ANSWER);
    assert.equal(client.state, 'open');
  }
});

test('a gateway that knows no ping answers too, and nobody is told of an error', () => {
  const { client, gateway } = watched();
  const errors = seen(client, 'error');
  gateway.clock.pass(QUIET);
  gateway.socket.tell({ func: 'error', error_code: 1, message: 'unknown func' });
  gateway.clock.pass(ANSWER);
  assert.equal(client.state, 'open');
  assert.deepEqual(errors, []);
  gateway.socket.tell({ func: 'error', error_code: 1, message: 'not subscribed', type: 'var', name: 'price' });
  assert.equal(errors.length, 1);
});

test('frames touch no timer', () => {
  const { gateway } = watched();
  let set = 0;
  const real = gateway.clock.setTimeout;
  gateway.clock.setTimeout = (...args) => {
    set++;
    return real.apply(gateway.clock, args);
  };
  for (let i = 0; i < 1000; i++) gateway.socket.tell(price(i));
  assert.equal(set, 0);
  assert.equal(gateway.clock.waiting, 1);
});

test('aliveAfter is the silence, and Infinity bears any', () => {
  const short = watched({ aliveAfter: 300 });
  short.gateway.clock.pass(300);
  assert.deepEqual(short.gateway.socket.take(), [PING]);
  const deaf = watched({ aliveAfter: Infinity });
  deaf.gateway.clock.pass(1e9);
  assert.deepEqual(deaf.gateway.socket.take(), []);
  assert.equal(deaf.client.state, 'open');
});

test('a time of day that is set decides nothing', () => {
  for (const step of [-1e9, 1e9]) {
    const { client, gateway } = watched();
    gateway.clock.set = step;
    gateway.clock.pass(QUIET - 1);
    assert.deepEqual(gateway.socket.take(), []);
    gateway.clock.pass(1);
    assert.deepEqual(gateway.socket.take(), [PING]);
    gateway.clock.pass(ANSWER);
    assert.equal(client.state, 'waiting');
    assert.equal(client.retryAt - gateway.clock.now(), 375);
  }
});

test('after a sleep it asks first, and what lay in line meanwhile counts', () => {
  const { client, gateway } = watched();
  gateway.clock.sleep(3600e3); // while it was silent
  gateway.clock.pass(0);
  assert.deepEqual(gateway.socket.take(), [PING]);
  assert.equal(client.state, 'open');

  gateway.clock.sleep(3600e3); // while it waited for the answer
  gateway.clock.pass(0);
  assert.deepEqual(gateway.socket.take(), [PING]);
  assert.equal(client.state, 'open');
  gateway.socket.tell(PONG); // to the first
  gateway.clock.pass(ANSWER);
  assert.equal(client.state, 'open');
});

test('a timer that is late each time, as in a hidden tab, delays the end and does not prevent it', () => {
  const { client, gateway } = watched();
  for (let i = 0; i < 3; i++) {
    assert.equal(client.state, 'open');
    gateway.clock.sleep(60000);
    gateway.clock.pass(0);
  }
  assert.equal(client.state, 'waiting');
});

test('a line too slow for the first states is given longer each time, and only then', () => {
  const pair = watched();
  const { client, gateway } = pair;
  const list = client.list('todo'); // asked for, and long on its way
  const patience = () => {
    gateway.socket.take();
    gateway.clock.pass(QUIET);
    assert.deepEqual(gateway.socket.take(), [PING]);
    const from = gateway.clock.time;
    while (client.state === 'open') gateway.clock.pass(100);
    return gateway.clock.time - from;
  };
  const waits = [];
  for (let i = 0; i < 7; i++) {
    waits.push(patience());
    reopen(pair);
    gateway.socket.tell(price(2)); // the small one comes at once
  }
  assert.deepEqual(waits, [5000, 10000, 20000, 40000, 80000, 80000, 80000]);
  gateway.clock.pass(QUIET + 79000);
  const page = (number) => todo('set_all', { page: number, total_item_count: 300, items: [{ id: `i${number}`, value: 1 }] });
  gateway.socket.tell(page(0));
  assert.equal(list.state, 'live');
  list.go(1); // another page is as large
  assert.equal(patience(), 80000);
  reopen(pair);
  gateway.socket.tell(price(2));
  gateway.socket.tell(page(0));
  gateway.socket.tell(page(1));
  assert.equal(list.loading, false);
  assert.equal(patience(), 5000); // all was there: this was the network
});

test('a connection that is lost, closed or not open yet is not asked', () => {
  const lost = watched();
  lost.gateway.socket.drop();
  const waiting = lost.gateway.socket;
  lost.gateway.clock.pass(370);
  assert.equal(lost.gateway.clock.waiting, 1);
  assert.deepEqual(waiting.take(), []);
  const closed = watched();
  closed.client.close();
  assert.equal(closed.gateway.clock.waiting, 0);
  const { gateway } = start({ aliveAfter: 100, connectTimeout: 4000 });
  gateway.clock.pass(3999);
  assert.deepEqual(gateway.socket.take(), []);
});

test('a listener may close the client while it asks', () => {
  const { client, gateway } = watched();
  client.on('frame', ({ message }) => message.func === 'ping' && client.close());
  gateway.clock.pass(QUIET);
  assert.equal(client.state, 'closed');
  assert.equal(gateway.clock.waiting, 0);
});

test('each attempt that does not open is given up and followed by another', () => {
  const { client, gateway } = start({ connectTimeout: 4000, backoffMin: 1000, backoffMax: 1000 });
  for (let i = 1; i <= 3; i++) {
    assert.equal(gateway.sockets.length, i);
    gateway.clock.pass(4000);
    assert.equal(client.state, 'waiting');
    assert.ok(gateway.socket.closed);
    gateway.clock.pass(750);
  }
  gateway.sockets[0].open(); // at last
  assert.equal(client.state, 'connecting');
  gateway.socket.open();
  assert.equal(client.state, 'open');
});

/* ---- the page and the network come back ---- */

/* inPage lends `run` a browser's globals: an EventTarget for the window, one for the document. */
function inPage(run) {
  const page = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
  const lent = { document, addEventListener: page.addEventListener.bind(page) };
  const had = Object.fromEntries(Object.keys(lent).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  for (const [name, value] of Object.entries(lent)) Object.defineProperty(globalThis, name, { value, configurable: true });
  try {
    run({
      online: () => page.dispatchEvent(new Event('online')),
      pageshow: (persisted) => page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted })),
      resume: () => document.dispatchEvent(new Event('resume')),
      visible: (visibilityState) => {
        document.visibilityState = visibilityState;
        document.dispatchEvent(new Event('visibilitychange'));
      },
    });
  } finally {
    for (const name of Object.keys(lent)) {
      delete globalThis[name];
      if (had[name]) Object.defineProperty(globalThis, name, had[name]);
    }
  }
}

const returns = {
  online: (page) => page.online(),
  'a page out of the cache': (page) => page.pageshow(true),
  'a page that is seen again': (page) => page.visible('visible'),
  'a page that was frozen': (page) => page.resume(),
};

for (const [what, happens] of Object.entries(returns)) {
  test(`${what}: asks at once, and gives up without an answer`, () => inPage((page) => {
    const { client, gateway } = watched();
    gateway.clock.pass(1000);
    happens(page);
    assert.deepEqual(gateway.socket.take(), [PING]);
    happens(page); // one question is enough
    assert.deepEqual(gateway.socket.take(), []);
    gateway.socket.tell(PONG);
    gateway.clock.pass(QUIET - 1);
    assert.deepEqual(gateway.socket.take(), []);
    happens(page);
    assert.deepEqual(gateway.socket.take(), [PING]);
    gateway.clock.pass(ANSWER);
    assert.equal(client.state, 'waiting');
    happens(page); // and does not wait
    assert.equal(client.state, 'connecting');
    assert.equal(gateway.sockets.length, 2);
    happens(page);
    assert.equal(gateway.sockets.length, 2);
  }));
}

test('a page that hides, or is shown for the first time, asks nothing', () => inPage((page) => {
  const { gateway } = watched();
  page.visible('hidden');
  page.pageshow(false);
  assert.deepEqual(gateway.socket.take(), []);
}));

test('a client that is closed listens no more', () => inPage((page) => {
  const { client, gateway } = watched();
  client.close();
  for (const happens of Object.values(returns)) happens(page);
  assert.equal(client.state, 'closed');
  assert.equal(gateway.sockets.length, 1);
  assert.equal(gateway.clock.waiting, 0);
}));
