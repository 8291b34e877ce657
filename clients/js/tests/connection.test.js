import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start, opened, seen } from './gateway.js';

const subscribe = (type, name, more) => ({ func: 'subscribe', type, name, ...(type !== 'function' && { wait: true }), ...more });

test('connects to the address and says when it is open', () => {
  const { client, gateway } = start();
  const states = seen(client, 'state');
  assert.equal(gateway.socket.url, 'ws://gateway/ws/socksync/');
  assert.equal(client.state, 'connecting');
  gateway.socket.open();
  assert.equal(client.state, 'open');
  assert.deepEqual(states, ['open']);
  assert.equal(gateway.clock.waiting, 0);
});

test('tries again, later each time, up to the maximum, with jitter', () => {
  const { client, gateway } = start({ backoffMin: 1000, backoffMax: 5000 });
  const waits = [];
  for (let i = 0; i < 5; i++) {
    gateway.socket.drop();
    assert.equal(client.state, 'waiting');
    waits.push(client.retryAt - gateway.clock.time);
    gateway.clock.pass(client.retryAt - gateway.clock.time);
    assert.equal(gateway.sockets.length, i + 2);
  }
  assert.deepEqual(waits, [750, 1500, 3000, 3750, 3750]);
});

test('jitter spreads a wait over its upper half', () => {
  for (const [random, wait] of [[0, 500], [0.5, 750], [0.999999, 1000]]) {
    const { client, gateway } = start({ backoffMin: 1000, random: () => random });
    gateway.socket.drop();
    assert.equal(Math.round(client.retryAt), wait);
  }
});

test('a connection that lasted starts the waits anew, one that did not goes on', () => {
  const { client, gateway } = start({ backoffMin: 1000, backoffMax: 60000 });
  const wait = () => client.retryAt - gateway.clock.time;
  gateway.socket.drop();
  client.retry();
  gateway.socket.open();
  gateway.clock.pass(100);
  gateway.socket.drop();
  assert.equal(wait(), 1500);
  client.retry();
  gateway.socket.open();
  gateway.clock.pass(60000);
  gateway.socket.drop();
  assert.equal(wait(), 750);
});

test('waits as long as the gateway says when it ends', () => {
  for (const [reason, wait] of [['retry=0ms', 0], ['retry=1234ms', 1234], ['bye, retry=70ms please', 70], ['retry=999999999ms', 600000]]) {
    const { client, gateway } = opened({ backoffMin: 1000 });
    gateway.socket.drop(reason);
    assert.equal(client.state, 'waiting');
    assert.equal(client.retryAt - gateway.clock.time, wait, reason);
    gateway.clock.pass(wait);
    assert.equal(gateway.sockets.length, 2);
  }
});

test('a reason that says no time is none', () => {
  for (const reason of ['', 'draining', 'retry=ms', 'retry=-5ms', 'retry=5s', 'retry=5msx', 'noretry=5ms', 'retry=12345678901ms', undefined]) {
    const { client, gateway } = opened({ backoffMin: 1000 });
    gateway.socket.drop(reason);
    assert.equal(client.retryAt - gateway.clock.time, 750, reason);
  }
});

test('an attempt that fails after the time that was told waits from the minimum on', () => {
  const { client, gateway } = start({ backoffMin: 1000 });
  gateway.socket.drop();
  client.retry();
  gateway.socket.open();
  gateway.socket.drop('retry=40ms');
  gateway.clock.pass(40);
  gateway.socket.drop();
  assert.equal(client.retryAt - gateway.clock.time, 750);
});

test('retry does not wait', () => {
  const { client, gateway } = start();
  client.retry();
  assert.equal(gateway.sockets.length, 1);
  gateway.socket.drop();
  client.retry();
  assert.equal(gateway.sockets.length, 2);
  gateway.clock.pass(5000);
  assert.equal(gateway.sockets.length, 2);
});

test('gives an address that does not answer up', () => {
  const { client, gateway } = start({ connectTimeout: 4000 });
  const first = gateway.socket;
  gateway.clock.pass(4000);
  assert.equal(client.state, 'waiting');
  assert.ok(first.closed);
  first.open(); // too late
  assert.equal(client.state, 'waiting');
});

test('what an abandoned connection still says is not heard', () => {
  const { client, gateway } = opened();
  const price = client.variable('price');
  const old = gateway.socket;
  old.drop();
  client.retry();
  gateway.socket.open();
  old.tell({ func: 'set', type: 'var', name: 'price', value: 1 });
  old.drop();
  assert.equal(price.value, undefined);
  assert.equal(client.state, 'open');
});

test('subscribes everything again, windows included', () => {
  const { client, gateway } = start();
  client.variable('price');
  client.item('todo', 'a');
  client.serve('greet', () => null);
  const todo = client.list('todo', { page: 2, pageSize: 5 });
  const expected = [
    subscribe('var', 'price'),
    subscribe('list', 'todo', { id: 'a' }),
    subscribe('function', 'greet'),
    subscribe('list', 'todo', { page: 2, page_size: 5 }),
  ];
  gateway.socket.open();
  assert.deepEqual(gateway.socket.take(), expected);
  const page = (number, items) => ({ func: 'set_all', type: 'list', name: 'todo', page: number, total_item_count: 12, items });
  gateway.socket.tell(page(2, [{ id: 'k', value: 1 }, { id: 'l', value: 2 }]));
  assert.equal(todo.page, 2);

  gateway.socket.drop();
  assert.equal(todo.state, 'pending');
  assert.equal(todo.items.length, 2); // what was held stays to be shown
  client.retry();
  gateway.socket.open();
  assert.deepEqual(gateway.socket.take(), expected);
});

test('a name is subscribed once and unsubscribed with its last user', () => {
  const { client, gateway } = opened();
  const a = client.variable('price');
  const b = client.variable('price');
  assert.equal(a, b);
  assert.deepEqual(gateway.socket.take(), [subscribe('var', 'price')]);
  a.close();
  assert.deepEqual(gateway.socket.take(), []);
  b.close();
  b.close();
  assert.deepEqual(gateway.socket.take(), [{ func: 'unsubscribe', type: 'var', name: 'price' }]);
  assert.equal(b.state, 'closed');
  gateway.socket.tell({ func: 'set', type: 'var', name: 'price', value: 1 }); // was on its way
  assert.equal(b.value, undefined);
  assert.notEqual(client.variable('price'), a);
});

test('var, list, item and function of one name are four things', () => {
  const { client, gateway } = opened();
  const four = [client.variable('x'), client.list('x'), client.item('x', 'a'), client.serve('x', () => 0)];
  assert.equal(new Set(four).size, 4);
  assert.equal(gateway.socket.take().length, 4);
});

test('close ends everything', async () => {
  const { client, gateway } = opened();
  const price = client.variable('price');
  const call = client.call('add');
  client.close();
  client.close();
  await assert.rejects(call, { code: 8 });
  await assert.rejects(client.call('add'), { code: 8 });
  assert.ok(gateway.socket.closed);
  assert.equal(client.state, 'closed');
  assert.equal(price.state, 'closed');
  assert.equal(price.set(1), false);
  gateway.socket.onclose({});
  gateway.clock.pass(1e6);
  assert.equal(gateway.sockets.length, 1);
  assert.equal(gateway.clock.waiting, 0);
});

test('shows every frame, with its text', () => {
  const { client, gateway } = opened();
  const frames = seen(client, 'frame');
  client.variable('price');
  gateway.socket.tell('{"func":"set", "type":"var","name":"price","value":1.50}');
  gateway.socket.tell('nonsense');
  assert.deepEqual(frames.map(({ direction, text }) => [direction, text]), [
    ['out', '{"func":"subscribe","type":"var","name":"price","wait":true}'],
    ['in', '{"func":"set", "type":"var","name":"price","value":1.50}'],
    ['in', 'nonsense'],
  ]);
  assert.equal(frames[1].message.value, 1.5);
  assert.equal(frames[2].message, null);
});

test('frames that make no sense change nothing', () => {
  const { client, gateway } = opened();
  const price = client.variable('price');
  for (const text of ['null', '[]', '7', '{}', '{"func":"jump"}', '{"func":7}', '{"func":"constructor"}', '{"func":"set"}',
    '{"func":"return","type":"function","name":"a","id":"none"}', '{"func":"error","error_code":8}', '{"func":"insert","type":"list","name":"no"}'])
    gateway.socket.tell(text);
  assert.equal(client.state, 'open');
  assert.equal(price.state, 'pending');
});

test('a listener that throws does not stop the others', (t) => {
  const reported = t.mock.method(console, 'error', () => {});
  const { client, gateway } = opened();
  const price = client.variable('price');
  price.on('change', () => {
    throw new Error('mine');
  });
  const values = seen(price, 'change');
  gateway.socket.tell({ func: 'set', type: 'var', name: 'price', value: 1 });
  assert.deepEqual(values, [1]);
  assert.equal(reported.mock.calls[0].arguments[0].message, 'mine');
});

test('a listener can be taken away', () => {
  const { client, gateway } = opened();
  const price = client.variable('price');
  const values = [];
  const off = price.on('change', (value) => values.push(value));
  gateway.socket.tell({ func: 'set', type: 'var', name: 'price', value: 1 });
  off();
  gateway.socket.tell({ func: 'set', type: 'var', name: 'price', value: 2 });
  assert.deepEqual(values, [1]);
});
