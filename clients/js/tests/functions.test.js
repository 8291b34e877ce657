import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SyncgateError } from '../syncgate.js';
import { start, opened, seen } from './gateway.js';

const add = (func, fields) => ({ func, type: 'function', name: 'add', ...fields });
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a call is answered with its value', async () => {
  const { client, gateway } = opened();
  const first = client.call('add', { a: 1 });
  const second = client.call('add');
  const [one, two] = gateway.socket.take();
  assert.deepEqual(one, add('call', { id: one.id, args: { a: 1 } }));
  assert.deepEqual(two, add('call', { id: two.id }));
  assert.notEqual(one.id, two.id);
  gateway.socket.tell(add('return', { id: two.id }));
  gateway.socket.tell(add('return', { id: one.id, value: { sum: 3 } }));
  assert.deepEqual(await first, { sum: 3 });
  assert.equal(await second, undefined);
  assert.equal(gateway.clock.waiting, 0);
});

test('a call fails with the error of its executor', async () => {
  const { client, gateway } = opened();
  const errors = seen(client, 'error');
  const call = client.call('add');
  const [{ id }] = gateway.socket.take();
  gateway.socket.tell({ func: 'error', error_code: 8, message: 'redis away' }); // no id: nobody's
  gateway.socket.tell(add('error', { id, error_code: 6, message: 'b is missing' }));
  await assert.rejects(call, (error) => error instanceof SyncgateError && error.code === 6 && error.message === 'b is missing');
  assert.equal(errors.length, 2);
});

test('a call waits for the connection', async () => {
  const { client, gateway } = start();
  const call = client.call('add');
  gateway.socket.drop();
  client.retry();
  gateway.socket.open();
  const [{ id }] = gateway.socket.take();
  gateway.socket.tell(add('return', { id, value: 1 }));
  assert.equal(await call, 1);
});

test('a call that was sent fails with the connection', async () => {
  const { client, gateway } = opened();
  const call = client.call('add');
  gateway.socket.drop();
  await assert.rejects(call, { code: 8, message: 'the connection was lost' });
  client.retry();
  gateway.socket.open();
  assert.deepEqual(gateway.socket.take(), []);
});

test('a call ends at its deadline', async () => {
  const { client, gateway } = opened({ callTimeout: 5000 });
  const call = client.call('add');
  const quick = client.call('add', {}, { timeout: 10 });
  const [{ id }] = gateway.socket.take();
  gateway.clock.pass(10);
  await assert.rejects(quick, { code: 8, message: 'timeout' });
  gateway.clock.pass(4990);
  await assert.rejects(call, { code: 8, message: 'timeout' });
  gateway.socket.tell(add('return', { id, value: 1 })); // late
});

test('arguments that are not JSON fail the call and leave nothing behind', async () => {
  const { client, gateway } = opened();
  await assert.rejects(client.call('add', { n: 1n }), TypeError);
  assert.equal(gateway.clock.waiting, 0);
});

test('knows the functions that the gateway announces', () => {
  const { client, gateway } = opened();
  const events = seen(client, 'functions');
  gateway.socket.tell(add('subscribe'));
  gateway.socket.tell({ func: 'subscribe', type: 'var', name: 'cursor' }); // permission to write
  assert.deepEqual([...client.functions], ['add']);
  gateway.socket.tell(add('unsubscribe'));
  assert.deepEqual([...client.functions], []);
  gateway.socket.tell(add('subscribe'));
  gateway.socket.drop();
  assert.deepEqual([...client.functions], []);
  assert.equal(events.length, 4);
});

test('serves a function', async () => {
  const { client, gateway } = opened();
  const calls = [];
  client.serve('add', async (args, call) => {
    calls.push([args, call]);
    return args.a === undefined ? undefined : args.a + args.b;
  });
  assert.deepEqual(gateway.socket.take(), [add('subscribe')]);
  gateway.socket.tell(add('call', { id: 's-1', args: { a: 1, b: 2 } }));
  gateway.socket.tell(add('call', { id: 's-2' }));
  await settled();
  assert.deepEqual(gateway.socket.take(), [add('return', { id: 's-1', value: 3 }), add('return', { id: 's-2' })]);
  assert.deepEqual(calls[1], [{}, { id: 's-2', name: 'add' }]);
});

test('a null result is a value', async () => {
  const { client, gateway } = opened();
  client.serve('add', () => null);
  gateway.socket.take();
  gateway.socket.tell(add('call', { id: 's-1' }));
  await settled();
  assert.deepEqual(gateway.socket.take(), [add('return', { id: 's-1', value: null })]);
});

test('what a served function throws is the error of the call', async () => {
  const { client, gateway } = opened();
  const cases = [
    [() => { throw new SyncgateError(6, 'b is missing'); }, 6, 'b is missing'],
    [() => Promise.reject(new Error('boom')), 8, 'boom'],
    [() => { throw 'text'; }, 8, 'text'],
    [() => 1n, 8, undefined],
  ];
  for (const [handler, code, message] of cases) {
    client.serve('add', handler);
    gateway.socket.take();
    gateway.socket.tell(add('call', { id: 's-1' }));
    await settled();
    const sent = gateway.socket.take();
    assert.equal(sent.length, 1);
    assert.equal(sent[0].func, 'error');
    assert.equal(sent[0].id, 's-1');
    assert.equal(sent[0].error_code, code);
    if (message) assert.equal(sent[0].message, message);
  }
});

test('a function that is not served is refused', async () => {
  const { client, gateway } = opened();
  const served = client.serve('add', () => 1);
  served.stop();
  assert.deepEqual(gateway.socket.take(), [add('subscribe'), add('unsubscribe')]);
  gateway.socket.tell(add('call', { id: 's-1', args: {} }));
  assert.deepEqual(gateway.socket.take(), [add('error', { id: 's-1', error_code: 1, message: 'not served' })]);
});

test('a result is not sent over another connection than its call came by', async () => {
  const { client, gateway } = opened();
  let finish;
  client.serve('add', () => new Promise((resolve) => (finish = resolve)));
  gateway.socket.tell(add('call', { id: 's-1' }));
  gateway.socket.drop();
  client.retry();
  gateway.socket.open();
  gateway.socket.take();
  finish(1);
  await settled();
  assert.deepEqual(gateway.socket.take(), []);
});

test('serving without the grant is told', () => {
  const { client, gateway } = opened();
  const served = client.serve('add', () => 1);
  const errors = seen(served, 'error');
  gateway.socket.tell(add('error', { error_code: 3, message: 'unknown name' }));
  assert.equal(served.state, 'failed');
  assert.equal(errors.length, 1);
  assert.equal(gateway.clock.waiting, 0);
});
