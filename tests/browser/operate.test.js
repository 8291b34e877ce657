/* The operations half of the page as an admin uses it: on the gateway's machine without a token, elsewhere with one. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Client } from './clients.js';
import { Stage, eventually } from './stage.js';

const stage = new Stage();
const clients = [];
let one;
let two;

before(async () => {
  await stage.open();
  const config = await stage.file('admin.yaml', `
anonymous: { subscribe: ["*"], call: ["*"], write: ["*"], serve: ["*"] }
tokens:
  - { token: "the boss", name: boss, admin: true, subscribe: ["*"] }
  - { token: "a clerk", name: clerk, subscribe: ["*"] }
`);
  [one, two] = [await stage.gateway(['--config', config]), await stage.gateway(['--config', config])];
});

after(() => stage.close());

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await stage.closePages();
  /* A 401 is what some tests are about, and 421 another worker's answer; the browser says so too. */
  assert.deepEqual(stage.takeProblems().filter((problem) => !/status of (40[13]|421)/.test(problem)), []);
});

/* ---- words ---- */

const contains = (locator, text) => eventually(async () => assert.ok((await locator.textContent()).includes(text), `no “${text}” in “${await locator.textContent()}”`));
const figure = (page, id) => page.locator(`#chart-${id} .chart-figure`);
const set = (name, value) => stage.call('sg_var_set', name, JSON.stringify(value));

async function client(gateway, token) {
  const made = await Client.open(gateway, token);
  clients.push(made);
  return made;
}

async function operate(gateway, options = {}) {
  const page = await stage.page(gateway, { query: '#operate', ...options });
  await page.locator('#admitted').waitFor();
  return page;
}

/* From a page that came through a balancer. */
const elsewhere = { extraHTTPHeaders: { 'X-Forwarded-For': '192.0.2.7' } };

async function admin(gateway, path) {
  const response = await fetch(`${gateway.url}admin/${path}`);
  assert.equal(response.status, 200, path);
  return response.json();
}

/* ---- the two halves ---- */

test('tabs switch by click, key and address, and the demo lives on', async () => {
  const page = await stage.page(one);
  assert.equal(await page.locator('#panel-operate').isVisible(), false);
  await page.locator('#tab-operate').click();
  await page.locator('#admitted').waitFor();
  assert.equal(await page.locator('#panel-try').isVisible(), false);
  assert.match(page.url(), /#operate$/);
  await page.locator('#tab-operate').press('ArrowLeft');
  await page.locator('#panel-try').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-try');
  assert.doesNotMatch(page.url(), /#/);
  await page.locator('#tab-try').press('ArrowRight');
  await page.locator('#admitted').waitFor();
  await page.reload();
  await page.locator('#admitted').waitFor();
});

test('nothing is asked while nobody looks', async () => {
  const page = await stage.page(one);
  const asked = [];
  page.on('request', (request) => request.url().includes('/admin/') && asked.push(request.url()));
  await page.locator('#tab-operate').click();
  await eventually(() => assert.ok(asked.length > 3));
  await page.locator('#tab-try').click();
  await page.evaluate(() => {}); // what was asked before that has been told of
  const before = asked.length;
  await set('demo:text', 'two seconds of the history'); // time passes on the gateway, not in this test
  const { now_ms } = await admin(one, 'stats');
  await eventually(async () => assert.ok((await admin(one, `stats?since=${now_ms}`)).history.rows.length >= 3));
  assert.equal(asked.length, before);
});

test('scripts and styles come from the gateway alone', async () => {
  const response = await fetch(one.url);
  const policy = response.headers.get('content-security-policy');
  assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|\*/);
  const html = await response.text();
  assert.doesNotMatch(html, /<script(?![^>]*src=)|\sstyle=|\son[a-z]+=/);
});

/* ---- figures ---- */

test('the charts move with what happens', async () => {
  const page = await operate(one);
  await page.locator('#gateway-state[data-state=ready]').waitFor();
  await contains(page.locator('#gateway-about'), one.host);
  await set('demo:moving', 0);
  for (let i = 0; i < 3; i++) (await client(one)).subscribe('demo:moving');
  await eventually(async () => assert.equal(await figure(page, 'connections').textContent(), '4')); // the page itself is one
  await eventually(async () => {
    await set('demo:moving', Date.now());
    const [deliveries, changes] = (await figure(page, 'deliveries').textContent()).split(' / ').map(Number);
    assert.ok(deliveries > 0 && changes > 0);
  });
  await eventually(async () => {
    await set('demo:moving', Date.now()); // a second without changes has no latency
    assert.match(await figure(page, 'latency').textContent(), /[µm]s \/ .*s/);
  });
  assert.ok((await page.locator('#chart-deliveries .line').count()) >= 1);
  await page.locator('#chart-connections svg').focus();
  await page.keyboard.press('ArrowLeft');
  await contains(page.locator('#chart-connections .chart-now'), 'at ');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#chart-connections .cursor').count(), 0);
});

test('the charts show an hour, and the whole fleet', async () => {
  const page = await operate(one);
  await contains(page.locator('#chart-connections svg'), '3 min ago');
  await page.locator('#charts-span').selectOption('hour');
  await contains(page.locator('#chart-connections svg'), '60 min ago');
  const rows = (await admin(one, 'stats?span=hour')).history.rows.length;
  assert.ok(rows >= 1 && rows <= 360);
  await client(one);
  await client(two);
  await page.locator('#charts-span').selectOption('fleet');
  await eventually(async () => assert.equal(Number(await figure(page, 'connections').textContent()), 3)); // the page itself is one
  assert.equal(await page.locator('#chart-latency').isVisible(), false);
  await page.locator('#charts-span').selectOption('minutes');
  await page.locator('#chart-latency').waitFor();
  await eventually(async () => assert.equal(await figure(page, 'connections').textContent(), '2'));
});

test('a gateway that starts anew begins at nothing', async () => {
  const page = await operate(two);
  await two.kill();
  await contains(page.locator('#operate-problem'), 'does not answer');
  await two.start();
  await eventually(async () => assert.equal(await page.locator('#operate-problem').textContent(), ''));
  await eventually(async () => assert.doesNotMatch(await figure(page, 'deliveries').textContent(), /-/));
});

/* ---- connections ---- */

test('a slow reader stands first, with its reason', async () => {
  await set('big', '0');
  for (let i = 0; i < 3; i++) await client(one);
  const slow = await client(one, 'a clerk');
  slow.subscribe('big');
  slow.stall();
  await eventually(async () => {
    await set('big', 'x'.repeat(30000));
    const { connections } = await admin(one, 'connections?order=trouble&limit=1');
    assert.ok(connections[0].dirty > 0);
  });
  const page = await operate(one);
  const first = page.locator('#connections-rows tr').first();
  await page.locator('#connections-rows tr[data-state=slow]').waitFor();
  await contains(first, 'clerk');
  await contains(first.locator('.why'), 'congested for');
  await contains(first.locator('.why'), 'will get the newest state when it reads again');
  await page.locator('#connections-order').selectOption('id');
  await eventually(async () => {
    const ids = await page.locator('#connections-rows td:first-child').allTextContents();
    assert.deepEqual(ids.map(Number), ids.map(Number).sort((a, b) => a - b));
    assert.ok(ids.length >= 5);
  });
  slow.close();
  await eventually(async () => assert.equal(await page.locator('#connections-rows tr[data-state=slow]').count(), 0));
});

test('more connections than a page holds are turned over', async () => {
  for (let i = 0; i < 30; i++) await client(two);
  const page = await operate(two);
  const ids = await eventually(async () => {
    const { connections } = await admin(two, 'connections?limit=200');
    assert.equal(connections.length, 31); // the page itself is one, and those of the test before are gone
    return connections.map(({ id }) => String(id));
  });
  const shows = (expected) => eventually(async () => assert.deepEqual(await page.locator('#connections-rows td:first-child').allTextContents(), expected));
  await page.locator('#connections-order').selectOption('id');
  await shows(ids.slice(0, 25));
  await page.locator('#connections-next').click();
  await shows(ids.slice(25));
  await page.locator('#connections-first').waitFor();
  assert.equal(await page.locator('#connections-next').isVisible(), false);
  await page.locator('#connections-first').click();
  await shows(ids.slice(0, 25));
});

test('of several workers all are shown, and each connection can be tapped', async () => {
  const many = await stage.gateway(['--dev', '--workers', '2', '--prefix', 'several:']);
  await stage.call('sg_var_set', 'several:{room}', '0');
  const talkers = [];
  for (let i = 0; i < 12; i++) talkers.push(await client(many));
  const page = await operate(many);
  const ids = async () => page.locator('#connections-rows td:first-child').allTextContents();
  await eventually(async () => assert.equal((await ids()).length, 13)); // the page itself is one
  const ofWorkers = new Map(); // its connections by their numbers: the order of the rows may change at any time
  for (const [worker, id] of (await ids()).map((each) => each.split('·'))) ofWorkers.set(worker, [...(ofWorkers.get(worker) ?? []), Number(id)]);
  assert.deepEqual([...ofWorkers.keys()].sort(), ['1', '2']);
  await contains(page.locator('#connections-count'), '13, from 2 of 2 workers');
  await page.locator('#worker-note').waitFor();
  for (const [worker, numbers] of ofWorkers) {
    const id = Math.min(...numbers); // a talker: they came before the page
    await page.locator('#connections-rows tr').filter({ has: page.locator('td:first-child', { hasText: new RegExp(`^${worker}·${id}$`) }) }).getByText('Tap', { exact: true }).click();
    await page.locator('#tap-clear').click(); // the tap before has ended
    await eventually(async () => {
      for (const talker of talkers) talker.subscribe('room');
      assert.ok((await page.locator(`#tap-log li[data-conn="${id}"]`).count()) > 0);
    });
    assert.equal(await page.locator(`#tap-log li:not([data-conn="${id}"])`).count(), 0);
  }
  const room = page.locator('#names-rows tr[data-key="var room"] td:nth-child(4)'); // of both together
  await eventually(async () => assert.equal(await room.textContent(), '12'));
});

test('one connection shows what it follows, and is disconnected with a reason', async () => {
  await set('followed', { a: 1 });
  await stage.call('sg_list_set_all', 'followed', JSON.stringify(Array.from({ length: 30 }, (_, id) => ({ id, value: id }))));
  const reader = await client(one, 'a clerk');
  reader.subscribe('followed');
  reader.say({ func: 'subscribe', type: 'list', name: 'followed' });
  reader.say({ func: 'get', type: 'list', name: 'followed', page: 1, page_size: 12 });
  const page = await operate(one);
  await page.locator('#connections-filter').fill('clerk');
  const row = page.locator('#connections-rows tr');
  await eventually(async () => assert.equal(await row.count(), 1));
  await row.getByText('Look', { exact: true }).click();
  const dialog = page.locator('#dialog');
  await contains(dialog, '127.0.0.1, clerk');
  await contains(dialog, 'Subscriptions (2)');
  await contains(dialog, 'page 2, with 12 on a page, told 12 of 30 items');
  await contains(dialog, 'It is not.');
  await dialog.locator('#close-reason').fill('tidying up');
  await dialog.locator('.danger').click();
  await eventually(async () => assert.equal(await row.count(), 0));
  assert.equal(await dialog.isVisible(), false);
  await eventually(() => assert.ok(one.process.output.includes('action=close') && one.process.output.includes('tidying up')));
});

test('of several workers the right one is asked and obeys', async () => {
  const many = await stage.gateway(['--dev', '--workers', '2', '--prefix', 'closing:']);
  for (let i = 0; i < 10; i++) await client(many);
  const page = await operate(many);
  await eventually(async () => assert.equal(await page.locator('#connections-rows tr').count(), 11));
  for (const worker of ['1', '2']) {
    const row = page.locator('#connections-rows tr').filter({ has: page.locator('td:first-child', { hasText: new RegExp(`^${worker}·`) }) }).first();
    const key = await row.getAttribute('data-key');
    await row.getByText('Look', { exact: true }).click();
    await contains(page.locator('#dialog'), '127.0.0.1, anonymous');
    await page.locator('#dialog .danger').click();
    await page.locator('#dialog').waitFor({ state: 'hidden' });
    await page.locator(`#connections-rows tr[data-key="${key}"]`).waitFor({ state: 'detached' });
  }
});

/* ---- tables ---- */

test('tables are sorted and filtered', async () => {
  const [few, several] = [await client(one), await client(one)];
  for (const name of ['sort:a', 'sort:b', 'sort:c']) await set(name, 0);
  few.subscribe('sort:a');
  for (const name of ['sort:a', 'sort:b', 'sort:c']) several.subscribe(name);
  const page = await operate(one);
  const subscriptions = async () => (await page.locator('#connections-rows td:nth-child(5)').allTextContents()).map(Number);
  const header = page.locator('th', { hasText: 'Subscriptions' }).first();
  const sorted = async (sign) => {
    const all = await subscriptions();
    assert.deepEqual(all, [...all].sort((a, b) => sign * (a - b)));
    assert.ok(all.length >= 3 && new Set(all).size >= 2, all);
  };
  await header.locator('button').click();
  assert.equal(await header.getAttribute('aria-sort'), 'descending');
  await eventually(() => sorted(-1));
  await header.locator('button').click();
  assert.equal(await header.getAttribute('aria-sort'), 'ascending');
  await eventually(() => sorted(1));
  await header.locator('button').click();
  assert.equal(await header.getAttribute('aria-sort'), null);
  await page.locator('#fleet-filter').fill(two.host);
  await eventually(async () => assert.equal(await page.locator('#fleet-rows tr').count(), 1));
  await page.locator('#fleet-filter').fill('no such gateway');
  await eventually(async () => assert.equal(await page.locator('#fleet-rows tr').count(), 0));
});

/* ---- names ---- */

test('names are found, and one is looked at', async () => {
  await set('looked:at', { deep: ['<b>', 1] });
  await stage.call('sg_list_set_all', 'looked:list', JSON.stringify(Array.from({ length: 45 }, (_, n) => ({ id: `i${n}`, value: n }))));
  const readers = [await client(one), await client(one), await client(two)];
  for (const reader of readers) reader.subscribe('looked:at');
  readers[0].say({ func: 'subscribe', type: 'list', name: 'looked:list' });
  const page = await operate(one);
  const row = (kind, name) => page.locator(`#names-rows tr[data-key="${kind} ${name}"]`);
  await page.locator('#names-match').fill('looked');
  await eventually(async () => assert.deepEqual(await page.locator('#names-rows td:nth-child(2)').allTextContents(), ['looked:at', 'looked:list']));
  await eventually(async () => assert.equal(await row('var', 'looked:at').locator('td').nth(3).textContent(), '2'));
  await set('looked:at', { deep: ['<b>', 2] });
  await eventually(async () => assert.equal(await row('var', 'looked:at').locator('td').nth(5).textContent(), '2'));
  await row('var', 'looked:at').locator('button').click();
  const dialog = page.locator('#dialog');
  await contains(dialog, 'revision 2');
  await contains(dialog, 'Subscribers in the fleet3, at 2 gateways');
  assert.deepEqual(JSON.parse(await dialog.locator('.value-text').textContent()), { deep: ['<b>', 2] });
  assert.equal(await dialog.locator('b').count(), 0);
  await page.keyboard.press('Escape');
  await row('list', 'looked:list').locator('button').click();
  await contains(dialog, '45 items');
  const indexes = () => dialog.locator('.items .position').allTextContents();
  await eventually(async () => assert.equal((await indexes()).at(-1), '19'));
  await dialog.getByText('Next 20').click();
  await dialog.getByText('Next 20').click();
  await eventually(async () => assert.deepEqual(await indexes(), ['40', '41', '42', '43', '44']));
  await page.keyboard.press('Escape');
  await page.locator('#names-match').fill('nothing like it');
  await contains(page.locator('#names-empty'), 'No name that is held here fits');
});

/* ---- functions ---- */

test('functions show who serves them and how fast', async () => {
  const [here, elsewhere] = [await client(one), await client(two)];
  here.say({ func: 'subscribe', type: 'function', name: 'quick' });
  elsewhere.say({ func: 'subscribe', type: 'function', name: 'remote' });
  const page = await operate(one);
  const row = (name) => page.locator(`#functions-rows tr[data-key="${name}"]`);
  await contains(row('remote'), 'elsewhere');
  await eventually(async () => assert.equal(await row('quick').locator('td').nth(1).textContent(), '1'));
  const caller = await client(two);
  caller.say({ func: 'call', type: 'function', name: 'quick', id: 1 });
  await eventually(async () => assert.equal(await row('quick').locator('td').nth(2).textContent(), '1'));
  here.say({ func: 'return', type: 'function', name: 'quick', id: 's-1', value: 1 });
  await eventually(async () => assert.match(await row('quick').textContent(), /^quick101.*[µm]?s/));
});

/* ---- refusals ---- */

test('a refusal shows with its reason, as text', async () => {
  const page = await operate(one);
  await fetch(`${one.url}<img src=x onerror=alert(1)>?token=hidden`);
  await assert.rejects(Client.open(one, 'nobody knows it'), /401/);
  const row = (text) => page.locator('#refusals-rows tr').filter({ hasText: text }).first();
  await contains(row('unknown token'), '/ws/socksync/');
  await contains(row('unknown token'), '401');
  await contains(row('not found'), '404');
  assert.equal(await page.locator('img').count(), 0);
  assert.doesNotMatch(await page.locator('#refusals-rows').textContent(), /hidden|nobody knows/);
});

/* ---- the fleet ---- */

test('each gateway shows the fleet', async () => {
  const [a, b] = [await operate(one), await operate(two)];
  for (const [page, own, other] of [[a, one, two], [b, two, one]]) {
    await contains(page.locator('#fleet-rows tr').filter({ hasText: 'this one' }), own.host);
    await contains(page.locator('#fleet-rows tr').filter({ hasText: other.host }), 'ready');
  }
  await contains(a.locator('#fleet-count'), 'connections');
  const link = a.locator('#fleet-rows a', { hasText: two.host });
  assert.equal(await link.getAttribute('href'), `${two.url}#operate`);
  assert.equal(await a.locator('#fleet-rows tr').filter({ hasText: 'this one' }).locator('a').count(), 0);
});

test('what a stranger wrote into Redis is no link', async () => {
  for (const [id, address, host] of [['a', 'javascript:alert(1)', 'x'], ['b', '*:80', 'a/../@evil'], ['c', 'unix:/tmp/x', 'x'], ['d', '*:80', ''], ['e', 'x:99999', 'x']])
    await stage.command('FCALL', 'sg_fleet_beat', 1, 'sg:@{calls}', `stranger-${id}`, JSON.stringify({ state: 'odd', address, host }), 15000);
  const page = await operate(one);
  await eventually(async () => assert.ok((await page.locator('#fleet-rows tr').filter({ hasText: 'odd' }).count()) === 5));
  assert.equal(await page.locator('#fleet-rows tr').filter({ hasText: 'odd' }).locator('a').count(), 0);
});

test('a drain is asked for twice', async () => {
  const leaving = await stage.gateway(['--dev', '--drain-delay', '60s', '--prefix', 'leaving:']);
  const page = await operate(leaving);
  await page.locator('#drain').click();
  await page.locator('#confirm').getByText('No', { exact: true }).click();
  await page.locator('#confirm').waitFor({ state: 'hidden' });
  await page.locator('#drain').click();
  await page.keyboard.press('Escape');
  await page.locator('#confirm').waitFor({ state: 'hidden' });
  assert.equal((await admin(leaving, 'stats')).state, 'ready');
  await page.locator('#drain').click();
  await page.locator('#confirm-yes').click();
  await page.locator('#gateway-state[data-state=draining]').waitFor();
  assert.equal(await page.locator('#drain').isDisabled(), true);
  assert.match(leaving.process.output, /action=drain/);
  await leaving.kill();
});

/* ---- the tap ---- */

test('the tap shows what passes its filter, pauses and clears', async () => {
  await set('tapped:a', 0);
  await set('other:b', 0);
  const reader = await client(one);
  reader.subscribe('tapped:a');
  reader.subscribe('other:b');
  const page = await operate(one);
  const rows = page.locator('#tap-log li');
  await page.locator('#tap-name').fill('tapped:*');
  await page.locator('#tap-stop').click();
  const flow = (value) => eventually(async () => {
    await set('other:b', value);
    await set('tapped:a', value);
    assert.ok((await rows.allTextContents()).some((text) => text.includes(value)));
  });
  await flow('<b>first</b>');
  for (const text of await rows.allTextContents()) assert.ok(text.includes('tapped:a') && !text.includes('other:b'), text);
  assert.equal(await page.locator('#tap-log b').count(), 0);

  await page.locator('#tap-pause').click(); // or the last of the flow could come after the clearing
  await page.locator('#tap-clear').click();
  assert.equal(await rows.count(), 0);
  await set('tapped:a', 'while paused');
  await contains(page.locator('#tap-count'), 'waiting');
  assert.equal(await rows.count(), 0);
  await page.locator('#tap-pause').click();
  await contains(page.locator('#tap-log'), 'while paused');

  await page.locator('#tap-stop').click();
  await eventually(async () => assert.equal((await admin(one, 'stats')).taps, 0));
  assert.equal(await page.locator('#tap-stop').textContent(), 'Start');
});

test('one connection is tapped from its row', async () => {
  await set('room', 0);
  const talker = await client(one, 'a clerk');
  await client(one);
  const page = await operate(one);
  const row = page.locator('#connections-rows tr').filter({ hasText: 'clerk' });
  const id = await row.locator('td').first().textContent();
  await row.getByText('Tap', { exact: true }).click();
  await eventually(async () => assert.equal((await admin(one, 'stats')).taps, 1));
  talker.subscribe('room');
  await contains(page.locator(`#tap-log li[data-conn="${id}"]`).first(), '"func":"subscribe"');
  await page.locator('#tab-try').click(); // who does not look does not tap
  await eventually(async () => assert.equal((await admin(one, 'stats')).taps, 0));
});

/* ---- tokens ---- */

test('from elsewhere a token is asked for, and kept to this tab', async () => {
  const page = await stage.page(one, { query: '#operate', ...elsewhere });
  const urls = [];
  page.on('request', (request) => urls.push(request.url()));
  const enter = async (text) => {
    await page.locator('#admission-token').fill(text);
    await page.locator('#admission-token').press('Enter');
  };
  await page.locator('#admission').waitFor();
  assert.equal(await page.locator('#admitted').isVisible(), false);
  await enter('wrong');
  await contains(page.locator('#admission-problem'), 'not known');
  await enter('a clerk');
  await contains(page.locator('#admission-problem'), 'admin: true');
  await enter('the boss');
  await page.locator('#admitted').waitFor();
  assert.equal(await page.locator('#admission').isVisible(), false);
  await page.locator('#fleet-rows tr').nth(1).waitFor();
  await page.locator('#tap-stop').click();
  await eventually(async () => assert.equal((await admin(one, 'stats')).taps, 1));

  await page.reload();
  await page.locator('#admitted').waitFor();
  assert.ok(urls.length > 0 && urls.every((url) => !/boss|clerk|wrong/.test(url)));
  assert.equal(await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }])), '["",{}]');
  await page.locator('#forget').click();
  await page.locator('#admission').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test('the demo needs no token from elsewhere', async () => {
  const page = await stage.page(one, elsewhere);
  await page.locator('.variable.text input').fill('from elsewhere');
  await page.locator('.variable.text button').click();
  await contains(page.locator('.variable.text .value'), 'from elsewhere');
});

/* ---- everywhere ---- */

for (const [name, options] of [
  ['a phone', { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }],
  ['the dark', { colorScheme: 'dark' }],
]) {
  test(`operations work on ${name}`, async () => {
    await client(one);
    const page = await operate(one, options);
    await page.locator('#fleet-rows tr').nth(1).waitFor();
    await page.locator('#connections-rows tr').nth(1).waitFor();
    /* No word is broken, no card cut: what is in a cell and in a sheet fits. */
    const tall = await page.locator('#fleet-rows td:first-child').evaluateAll((cells) => cells.filter((each) => each.getBoundingClientRect().height > 40).length);
    assert.equal(tall, 0);
    if (options.isMobile) {
      const hidden = await page.locator('.sheet').evaluateAll((sheets) => sheets.filter((e) => e.scrollHeight > e.clientHeight + 1 && getComputedStyle(e).overflowY !== 'visible').length);
      assert.equal(hidden, 0);
    }
    const small = await page.locator('#panel-operate button').evaluateAll((buttons) =>
      buttons.map((each) => each.getBoundingClientRect()).filter(({ width, height }) => width > 0 && (width < 24 || height < 24)).length);
    assert.equal(small, 0);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  });
}
