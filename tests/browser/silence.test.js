/* Clients whose network goes away without a word, in Node.js and in the browser: through a proxy that swallows. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { connect } from '../../clients/js/syncgate.js';
import { BareWebSocket } from './clients.js';
import { Stage, eventually } from './stage.js';
import { Swallower } from './swallow.js';

const CLIENTS = 12;
const NAME = 'silence';
const ALIVE_AFTER = 500;
const stage = new Stage();
let gateway;
let network;

before(async () => {
  await stage.open();
  gateway = await stage.gateway();
});

after(() => stage.close());

beforeEach(async () => {
  network = await new Swallower().open(gateway.port);
});

afterEach(async () => {
  await stage.closePages();
  await network.close();
  assert.deepEqual(stage.takeProblems(), []);
});

const set = (value) => stage.call('sg_var_set', NAME, JSON.stringify(value));

/* held: what each client says of itself and of the variable. */
const allLive = (held, value) => eventually(async () =>
  assert.deepEqual(await held(), Array(CLIENTS).fill(['open', 'live', value])));

/* crowd makes clients in Node.js. */
function crowd(options) {
  const sockets = [];
  const socket = (url) => sockets[sockets.push(new BareWebSocket(url)) - 1];
  const gates = Array.from({ length: CLIENTS }, () => connect(network.url, { socket, aliveAfter: ALIVE_AFTER, ...options }));
  const variables = gates.map((gate) => gate.variable(NAME));
  return {
    gates,
    held: () => gates.map((gate, i) => [gate.state, variables[i].state, variables[i].value]),
    end: () => {
      for (const gate of gates) gate.close();
      for (const { socket: bare } of sockets) bare.destroy();
    },
  };
}

test('every client that was cut off becomes live again, with the newest state', async () => {
  await set('before');
  const { gates, held, end } = crowd();
  try {
    await allLive(held, 'before');
    const calls = gates.map((gate) => gate.call('nobody').catch(({ code }) => code));
    assert.deepEqual(await Promise.all(calls), Array(CLIENTS).fill(3));
    network.swallow();
    const lost = gates.map((gate) => gate.call('nobody').catch(({ message }) => message));
    await set('meanwhile');
    network.restore();
    await allLive(held, 'meanwhile');
    assert.deepEqual(await Promise.all(lost), Array(CLIENTS).fill('the connection was lost'));
    await set('after');
    await allLive(held, 'after');
  } finally {
    end();
  }
});

test('every client whose attempts are swallowed too comes back in the end', async () => {
  await set('before');
  const { held, end } = crowd({ connectTimeout: 500, backoffMax: 500 });
  try {
    await allLive(held, 'before');
    network.swallow();
    await set('meanwhile');
    const accepted = network.accepted;
    await eventually(() => assert.ok(network.accepted >= accepted + 3 * CLIENTS));
    network.restore();
    await allLive(held, 'meanwhile');
  } finally {
    end();
  }
});

test('a connection that is merely quiet stays', async () => {
  await set('before');
  const { gates, held, end } = crowd({ aliveAfter: 50 });
  try {
    await allLive(held, 'before');
    const accepted = network.accepted;
    const pongs = gates.map(() => 0);
    gates.forEach((gate, i) => gate.on('frame', ({ message }) => message?.func === 'pong' && pongs[i]++));
    await eventually(() => assert.ok(pongs.every((count) => count >= 2)));
    assert.equal(network.accepted, accepted);
  } finally {
    end();
  }
});

test('so it is in a browser', async () => {
  await set('before');
  const page = await stage.page(gateway);
  const all = await page.evaluateHandle(async ([url, count, name, aliveAfter]) => {
    const { connect } = await import('/syncgate.js');
    return Array.from({ length: count }, () => {
      const gate = connect(url, { aliveAfter });
      return { gate, variable: gate.variable(name) };
    });
  }, [network.url, CLIENTS, NAME, ALIVE_AFTER]);
  const held = () => all.evaluate((each) => each.map(({ gate, variable }) => [gate.state, variable.state, variable.value]));
  await allLive(held, 'before');
  network.swallow();
  await set('meanwhile');
  network.restore();
  await allLive(held, 'meanwhile');
  await set('after');
  await allLive(held, 'after');
});

test('the page asks when the network is back', async () => {
  await stage.call('sg_var_set', 'demo:text', '"before"');
  const page = await stage.page({ url: `http://${network.host}/` });
  const value = page.locator('.variable.text .value');
  const shows = (text) => eventually(async () => assert.equal(await value.textContent(), text));
  await shows('before');
  /* From here on no silence is long enough: it is the event that counts. */
  const held = await page.evaluateHandle(async () => (await import('/syncgate.js')).connect(gate.url, { aliveAfter: Infinity }));
  await eventually(async () => assert.equal(await held.evaluate(({ state }) => state), 'open'));
  network.swallow();
  await stage.call('sg_var_set', 'demo:text', '"meanwhile"');
  await page.context().setOffline(true);
  network.restore();
  const reopened = held.evaluate((client) => new Promise((resolve) => client.on('state', (state) => state === 'open' && resolve())));
  await page.context().setOffline(false);
  await Promise.all([reopened, shows('meanwhile')]);
  await page.locator('#link-1[data-state=open]').waitFor();
});
