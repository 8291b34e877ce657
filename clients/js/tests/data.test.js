import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start, opened, seen } from './gateway.js';

const items = (...ids) => ids.map((id) => ({ id, value: `v${id}` }));
const ids = (list) => list.items.map((item) => item.id);
const todo = (func, fields) => ({ func, type: 'list', name: 'todo', ...fields });
const page = (number, total, ...names) => todo('set_all', { page: number, total_item_count: total, items: items(...names) });
const price = (value) => ({ func: 'set', type: 'var', name: 'price', value });
const subscribe = { func: 'subscribe', type: 'var', name: 'price', wait: true };
const failure = (code, type, name, more) => ({ func: 'error', error_code: code, message: 'why', type, name, ...more });

/* A list that holds page `number` of `total` items, with what it was sent forgotten. */
function held(number, total, ...names) {
  const { client, gateway } = opened();
  const list = client.list('todo');
  gateway.socket.tell(page(number, total, ...names));
  gateway.socket.take();
  return { client, gateway, socket: gateway.socket, list, changes: seen(list, 'change') };
}

test('a variable holds what was told last', () => {
  const { client, gateway } = opened();
  const variable = client.variable('price');
  const values = seen(variable, 'change');
  assert.equal(variable.state, 'pending');
  for (const value of [1, null, { usd: 5 }]) gateway.socket.tell(price(value));
  assert.deepEqual(values, [1, null, { usd: 5 }]);
  assert.deepEqual(variable.value, { usd: 5 });
  assert.equal(variable.state, 'live');
});

test('a variable is written, and changes only when told so', () => {
  const { client, gateway } = opened();
  const variable = client.variable('price');
  gateway.socket.tell(price(1));
  gateway.socket.take();
  assert.equal(variable.set(2), true);
  assert.deepEqual(gateway.socket.take(), [price(2)]);
  assert.equal(variable.value, 1);
});

test('nothing is written without a connection, and nothing is kept for later', () => {
  const { client, gateway } = start();
  const variable = client.variable('price');
  const list = client.list('todo');
  assert.equal(variable.set(1), false);
  assert.equal(list.insert(0, 'a', 1), false);
  gateway.socket.open();
  assert.deepEqual(gateway.socket.take().map((message) => message.func), ['subscribe', 'subscribe']);
});

test('an unknown name is asked for again, later each time', () => {
  const { client, gateway } = opened();
  const variable = client.variable('price');
  const errors = seen(variable, 'error');
  gateway.socket.tell(failure(3, 'var', 'price'));
  assert.equal(variable.state, 'unknown');
  assert.deepEqual(errors, [{ code: 3, message: 'why', during: 'subscribe' }]);
  gateway.socket.take();
  gateway.clock.pass(749);
  assert.equal(gateway.socket.take().length, 0);
  gateway.clock.pass(1);
  assert.deepEqual(gateway.socket.take(), [subscribe]);
  gateway.socket.tell(failure(3, 'var', 'price'));
  gateway.clock.pass(1499);
  assert.equal(gateway.socket.take().length, 0);
  gateway.clock.pass(1);
  gateway.socket.tell(price(7));
  assert.equal(variable.state, 'live');
  assert.equal(variable.error, null);
  assert.equal(gateway.clock.waiting, 0);
});

test('a gateway that waits for an unknown name is not asked again', () => {
  const { client, gateway } = opened();
  const variable = client.variable('price');
  const states = seen(variable, 'state');
  const errors = seen(variable, 'error');
  assert.deepEqual(gateway.socket.take(), [subscribe]);
  gateway.socket.tell(failure(3, 'var', 'price', { waiting: true }));
  assert.deepEqual(errors, [{ code: 3, message: 'why', during: 'subscribe' }]);
  assert.equal(gateway.clock.waiting, 0);
  variable.set(6);
  assert.deepEqual(gateway.socket.take(), [price(6)]);
  gateway.socket.tell(failure(1, 'var', 'price'));
  assert.equal(errors.at(-1).during, 'write');
  gateway.socket.tell(price(7));
  assert.deepEqual(states, ['unknown', 'live']);
  assert.equal(variable.value, 7);
});

test('who waits for a name unsubscribes at the end', () => {
  const { client, gateway } = opened();
  const variable = client.variable('price');
  gateway.socket.tell(failure(3, 'var', 'price', { waiting: true }));
  gateway.socket.take();
  variable.close();
  assert.deepEqual(gateway.socket.take(), [{ func: 'unsubscribe', type: 'var', name: 'price' }]);
});

test('waiting that ends is asking again', () => {
  const { client, gateway } = opened();
  const variable = client.variable('price');
  gateway.socket.tell(failure(3, 'var', 'price', { waiting: true }));
  gateway.socket.take();
  gateway.socket.tell(failure(8, 'var', 'price'));
  assert.equal(variable.state, 'failed');
  gateway.clock.pass(1000);
  assert.deepEqual(gateway.socket.take(), [subscribe]);
  gateway.socket.tell(failure(3, 'var', 'price', { waiting: true }));
  variable.set(1);
  assert.deepEqual(gateway.socket.take(), [price(1)]);
});

test('an own write makes an unknown name, and asks for it at once', () => {
  const { client, gateway } = opened();
  const variable = client.variable('price');
  gateway.socket.tell(failure(3, 'var', 'price'));
  gateway.socket.take();
  variable.set(5);
  assert.deepEqual(gateway.socket.take(), [price(5), subscribe]);
  gateway.socket.tell(price(5));
  assert.equal(variable.state, 'live');
  assert.equal(gateway.clock.waiting, 0);
});

test('a refused write is told apart from a refused subscription', () => {
  for (const code of [1, 3]) {
    const { client, gateway } = opened();
    const variable = client.variable('price');
    const errors = seen(variable, 'error');
    gateway.socket.tell(failure(3, 'var', 'price'));
    variable.set(5);
    gateway.socket.tell(failure(code, 'var', 'price'));
    gateway.socket.tell(failure(3, 'var', 'price'));
    assert.deepEqual(errors.map(({ during }) => during), ['subscribe', 'write', 'subscribe']);
    assert.equal(variable.state, 'unknown');
  }
  const { client, gateway } = opened();
  const variable = client.variable('price');
  const errors = seen(variable, 'error');
  gateway.socket.tell(price(1));
  variable.set(2);
  gateway.socket.tell(failure(3, 'var', 'price'));
  assert.deepEqual(errors.map(({ during }) => during), ['write']);
  assert.equal(variable.state, 'live');
});

test('another refusal is kept and asked again too', () => {
  const { client, gateway } = opened();
  const variable = client.variable('price');
  gateway.socket.tell(failure(8, 'var', 'price'));
  assert.equal(variable.state, 'failed');
  assert.equal(variable.error.message, 'why');
  gateway.socket.take();
  gateway.clock.pass(1000);
  assert.equal(gateway.socket.take().length, 1);
});

test('a lost connection ends the asking again', () => {
  const { client, gateway } = opened();
  client.variable('price');
  gateway.socket.tell(failure(3, 'var', 'price'));
  const old = gateway.socket;
  old.take();
  old.drop();
  gateway.clock.pass(700);
  gateway.socket.open();
  assert.equal(gateway.socket.take().length, 1);
  gateway.clock.pass(20000);
  assert.equal(old.take().length, 0);
  assert.equal(gateway.socket.take().length, 0);
});

test('a list applies set_all', () => {
  const { client, gateway } = opened();
  const list = client.list('todo');
  const changes = seen(list, 'change');
  gateway.socket.tell(page(0, 5, 'a', 'b'));
  assert.deepEqual(list.items, items('a', 'b'));
  assert.equal(list.total, 5);
  assert.equal(list.page, 0);
  assert.deepEqual(changes, [{ kind: 'reset' }]);
  assert.equal(list.pageSize, 2);
  assert.equal(list.pages, 3);
});

test('a list applies insert, delete, set and set_count exactly', () => {
  const { socket, list, changes } = held(0, 3, 'a', 'b', 'c');
  socket.tell(todo('insert', { index: 1, id: 'n', value: 1 }));
  assert.deepEqual(ids(list), ['a', 'n', 'b', 'c']);
  assert.equal(list.total, 4);
  socket.tell(todo('insert', { index: 4, id: 'z', value: 2 }));
  assert.deepEqual(ids(list), ['a', 'n', 'b', 'c', 'z']);
  socket.tell(todo('delete', { id: 'b' }));
  assert.deepEqual(ids(list), ['a', 'n', 'c', 'z']);
  assert.equal(list.total, 4);
  socket.tell(todo('set', { id: 'c', value: { x: 1 } }));
  assert.deepEqual(list.items[2], { id: 'c', value: { x: 1 } });
  assert.equal(list.total, 4);
  socket.tell(todo('set_count', { total_item_count: 9 }));
  assert.equal(list.total, 9);
  assert.deepEqual(changes, [
    { kind: 'insert', id: 'n', index: 1 },
    { kind: 'insert', id: 'z', index: 4 },
    { kind: 'delete', id: 'b', index: 2 },
    { kind: 'set', id: 'c', index: 2 },
    { kind: 'count' },
  ]);
});

test('ids keep their type', () => {
  const { socket, list } = held(0, 3, 1, '1', 'c');
  socket.tell(todo('set', { id: '1', value: 'text' }));
  socket.tell(todo('delete', { id: 1 }));
  assert.deepEqual(list.items, [{ id: '1', value: 'text' }, { id: 'c', value: 'vc' }]);
});

test('what is not on the page concerns nobody here', () => {
  const { socket, list, changes } = held(0, 9, 'a');
  socket.tell(todo('delete', { id: 'x', gone: true }));
  socket.tell(todo('set', { id: 'x', value: 1 }));
  assert.deepEqual(changes, []);
  assert.equal(list.total, 9);
});

test('what cannot be applied makes the page be read again', () => {
  for (const wrong of [{ index: 3, id: 'n' }, { index: -1, id: 'n' }, { index: 0, id: 'a' }]) {
    const { socket, list } = held(0, 2, 'a', 'b');
    socket.tell(todo('insert', { ...wrong, value: 0 }));
    assert.deepEqual(socket.take(), [todo('get', { page: 0 })]);
    socket.tell(page(0, 2, 'n', 'a'));
    assert.deepEqual(ids(list), ['n', 'a']);
    assert.equal(list.loading, false);
  }
});

test('another page', () => {
  const { socket, list, changes } = held(0, 25, ...'abcdefghij');
  assert.equal(list.pageSize, 10);
  list.go(1);
  list.go(9, 4);
  assert.deepEqual(socket.take(), [todo('get', { page: 1 }), todo('get', { page: 9, page_size: 4 })]);
  assert.equal(list.loading, true);
  socket.tell(page(1, 25, 'k'));
  assert.deepEqual(changes, []); // the newer page is on its way
  socket.tell(page(6, 25, 'y'));
  assert.deepEqual(changes, [{ kind: 'reset' }]);
  assert.equal(list.page, 6);
  assert.equal(list.pageSize, 4);
  assert.equal(list.start, 24);
  assert.equal(list.pages, 7);
  list.go(list.page - 1);
  assert.deepEqual(socket.take(), [todo('get', { page: 5, page_size: 4 })]);
});

test('a page that was clamped is the one that is asked for after a reconnect', () => {
  const { client, gateway, list } = held(0, 25, ...'abcdefghij');
  list.go(9, 10);
  gateway.socket.tell(page(2, 25, 'u', 'v'));
  gateway.socket.tell(page(1, 14, 'k', 'l')); // it vanished, the gateway moved us
  gateway.socket.drop();
  client.retry();
  gateway.socket.open();
  assert.deepEqual(gateway.socket.take(), [todo('subscribe', { wait: true, page: 1, page_size: 10 })]);
});

test('a page that is asked for before the first one came', () => {
  const { client, gateway } = opened();
  const list = client.list('todo', { page: 1, pageSize: 2 });
  list.go(3);
  assert.deepEqual(gateway.socket.take(), [todo('subscribe', { wait: true, page: 1, page_size: 2 })]);
  gateway.socket.tell(page(1, 9, 'c', 'd'));
  assert.deepEqual(gateway.socket.take(), [todo('get', { page: 3, page_size: 2 })]);
  assert.equal(list.loading, true);
  gateway.socket.tell(page(3, 9, 'g', 'h'));
  assert.equal(list.loading, false);
  assert.deepEqual([list.page, list.start], [3, 6]);
});

test('a page size above what the owner allows is found out', () => {
  const { socket, list } = held(0, 300, ...'abcde');
  list.go(0, 50);
  socket.tell(page(0, 300, ...'abcde'));
  assert.equal(list.pageSize, 5);
  assert.equal(list.pages, 60);
});

test('writes of a list', () => {
  const { socket, list } = held(0, 7, 'a', 'b');
  list.insert(3, 'n', 1);
  list.append('z', 2);
  list.set('a', 3);
  list.delete('b');
  list.move('a', 5);
  list.setAll(items('q'));
  assert.deepEqual(socket.take(), [
    todo('insert', { index: 3, id: 'n', value: 1 }),
    todo('insert', { index: -1, id: 'z', value: 2 }),
    todo('set', { id: 'a', value: 3 }),
    todo('delete', { id: 'b' }),
    todo('move', { id: 'a', index: 5 }),
    todo('set_all', { page: 0, total_item_count: 1, items: items('q') }),
  ]);
  assert.deepEqual(ids(list), ['a', 'b']);
});

test('a list that is unknown is made by writing it', () => {
  const { client, gateway } = opened();
  const list = client.list('todo', { pageSize: 5 });
  gateway.socket.take();
  gateway.socket.tell(failure(3, 'list', 'todo'));
  assert.equal(list.state, 'unknown');
  assert.equal(list.loading, false);
  list.setAll(items('a'));
  assert.deepEqual(gateway.socket.take().map(({ func }) => func), ['set_all', 'subscribe']);
  gateway.socket.tell(page(0, 1, 'a'));
  gateway.socket.tell(page(0, 1, 'a'));
  assert.equal(list.state, 'live');
  assert.equal(list.loading, false);
});

test('an item lives apart from its list', () => {
  const { client, gateway } = opened();
  const item = client.item('todo', 'c');
  const values = seen(item, 'change');
  assert.deepEqual(gateway.socket.take(), [todo('subscribe', { id: 'c', wait: true })]);
  gateway.socket.tell(todo('set', { id: 'c', value: 1 }));
  gateway.socket.tell(todo('set', { id: 'd', value: 9 }));
  gateway.socket.tell(todo('set', { id: 'c', value: 2 }));
  assert.deepEqual(values, [1, 2]);
  item.close();
  assert.deepEqual(gateway.socket.take(), [todo('unsubscribe', { id: 'c' })]);
});

test('an item ends with its removal', () => {
  const { client, gateway } = opened();
  const item = client.item('todo', 'c');
  const gone = seen(item, 'gone');
  gateway.socket.tell(todo('set', { id: 'c', value: 1 }));
  gateway.socket.tell(todo('delete', { id: 'c', gone: true }));
  assert.equal(item.gone, true);
  assert.equal(gone.length, 1);
  gateway.socket.take();
  item.close();
  assert.deepEqual(gateway.socket.take(), []);
});

test('an item that left the page of its list lives on', () => {
  const { client, socket, list } = held(0, 9, 'a', 'c');
  const item = client.item('todo', 'c');
  socket.tell(todo('set', { id: 'c', value: 1 }));
  assert.equal(list.items[1].value, 1);
  socket.tell(todo('delete', { id: 'c' }));
  assert.deepEqual(ids(list), ['a']);
  assert.equal(item.gone, false);
  socket.tell(todo('set', { id: 'c', value: 2 }));
  assert.equal(item.value, 2);
  socket.tell(todo('delete', { id: 'c', gone: true }));
  assert.equal(item.gone, true);
});

test('an item that is not there is gone', () => {
  const { client, gateway } = opened();
  const item = client.item('todo', 'zz');
  gateway.socket.tell(failure(4, 'list', 'todo', { id: 'zz' }));
  assert.equal(item.gone, true);
  assert.equal(gateway.clock.waiting, 0);
});
