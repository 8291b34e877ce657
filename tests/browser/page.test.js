/* The page at / as a person uses it, on two gateways that share one Redis. Every wait is for what is to be seen. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { Stage, eventually } from './stage.js';

const LIST = 'demo:todo';
const stage = new Stage();
let one;
let two;

before(async () => {
  await stage.open();
  [one, two] = [await stage.gateway(), await stage.gateway()];
});

after(() => stage.close());

afterEach(async () => {
  await stage.closePages();
  assert.deepEqual(stage.takeProblems(), []);
});

/* ---- words ---- */

const row = (page, id) => page.locator(`.pane:first-child .row[data-id="${id}"]:not(.leaving)`);
const button = (page, id, action) => row(page, id).locator(`[data-action=${action}]`);

/* rows reads what a pane (the first, or the second gateway's) shows: [index, id, text]. */
const rows = (page, pane = 1) =>
  page.locator(`.pane:nth-child(${pane}) .row:not(.leaving)`).evaluateAll((elements) =>
    elements.map((element) => [Number(element.querySelector('.position').textContent), element.dataset.id, element.querySelector('.text').textContent]));

/* truth reads the same from Redis. */
async function truth(number = 0, size = 10) {
  const [, total, page, , ...flat] = await stage.call('sg_list_page', LIST, number, size);
  const items = [];
  for (let i = 0; i < flat.length; i += 2) items.push([page * size + i / 2, JSON.parse(flat[i]), JSON.parse(flat[i + 1])]);
  return { total, page, items };
}

/* shows: the pages show what Redis holds, and `items` when they are given as ids. */
async function shows(pages, { number = 0, size = 10, ids } = {}) {
  await eventually(async () => {
    const { total, page, items } = await truth(number, size);
    if (ids) assert.deepEqual(items.map(([, id]) => id), ids);
    for (const each of pages) {
      assert.deepEqual(await rows(each), items);
      assert.equal(await each.locator('#list-total').textContent(), total === 1 ? '1 item' : `${total} items`);
      assert.equal(await each.locator('#page-text').textContent(), `Page ${page + 1} of ${Math.max(1, Math.ceil(total / size))}`);
    }
  });
}

const fill = (...ids) => stage.call('sg_list_set_all', LIST, JSON.stringify(ids.map((id) => ({ id, value: `item ${id}` }))));
const numbered = (count) => Array.from({ length: count }, (_, i) => `n${i}`);

const value = (page, name) => page.locator(`.variable[data-name="${name}"] .value`);

const hasText = (locator, text) => eventually(async () => assert.equal(await locator.textContent(), text));
const contains = (locator, text) => eventually(async () => assert.ok((await locator.textContent()).includes(text), `no “${text}” in “${await locator.textContent()}”`));
const stored = (name, expected) => eventually(async () => assert.deepEqual(JSON.parse((await stage.call('sg_var_get', name))[1]), expected));

async function both() {
  return [await stage.page(one), await stage.page(two)];
}

async function call(page, name, how = '') {
  await page.locator('#call-name').fill(name);
  await page.locator('#call-how').selectOption(how);
  const before = await page.locator('#answers li').count();
  await page.locator('#call button').click();
  await page.locator('#answers li').nth(Math.min(before, 7)).waitFor();
  return page.locator('#answers li').first().textContent();
}

/* glowing notes what glows from now on, as 'fresh n': a light may be out, or another's, before somebody looks. */
async function glowing(page) {
  await page.evaluate(() => {
    const kinds = ['fresh', 'changed', 'moved'];
    globalThis.glowed = [];
    const note = ({ target }) => {
      const whose = target.dataset.id ?? target.closest('[data-name]')?.dataset.name;
      for (const kind of kinds) if (target.classList.contains(kind)) globalThis.glowed.push(`${kind} ${whose}`);
    };
    new MutationObserver((records) => records.forEach(note))
      .observe(document.body, { subtree: true, attributes: true, attributeFilter: ['class'] });
  });
  return (glow) => eventually(async () => {
    const all = await page.evaluate(() => globalThis.glowed);
    assert.ok(all.includes(glow), `no “${glow}” in ${all}`);
  });
}

/* ---- what is not there yet ---- */

test('the documents are found, and searched', async () => {
  const page = await stage.page(one);
  await page.locator('#docs').click();
  await page.locator('a[data-target="#mkdocs_search_modal"], a[data-bs-target="#mkdocs_search_modal"]').first().click();
  await eventually(async () => { /* what is typed before the index is there is not looked for */
    await page.locator('#mkdocs-search-query').fill('');
    await page.locator('#mkdocs-search-query').pressSequentially('sighup');
    assert.ok(await page.locator('#mkdocs-search-results a').count());
  });
  await page.locator('#mkdocs-search-results a').first().click();
  await eventually(async () => assert.match(await page.locator('body').textContent(), /SIGHUP/));
  assert.equal(new URL(page.url()).origin, new URL(one.url).origin);
  /* A library of theirs tries a style of its own, which the policy refuses. */
  assert.deepEqual(stage.takeProblems().filter((text) => !/inline style/.test(text)), []);
});

test('names that are not there yet say so, and are created by the buttons', async () => {
  const [a, b] = await both();
  await contains(a.locator('.empty'), 'not there yet');
  await contains(a.locator('.variable.text'), 'Not there yet');
  await hasText(value(a, 'demo:text'), '–');
  await a.locator('.empty button').click();
  await shows([a, b]);
  assert.equal((await truth()).total, 24);
  await a.locator('.variable.text input').fill('first');
  await a.locator('.variable.text button').click();
  await hasText(value(a, 'demo:text'), 'first');
  await hasText(value(b, 'demo:text'), 'first');
  assert.equal(await a.locator('#notice').isVisible(), false);
});

test('an emptied list offers to be filled', async () => {
  await fill('a');
  const [a, b] = await both();
  await shows([a, b], { ids: ['a'] });
  await button(a, 'a', 'delete').click();
  await contains(a.locator('.empty'), 'empty');
  await b.locator('.empty button').click();
  await shows([a, b]);
  assert.equal((await truth()).total, 24);
});

/* ---- variables ---- */

test('a variable set on one gateway shows on the other', async () => {
  const [a, b] = await both();
  await a.locator('.variable.text input').fill('from one');
  await a.locator('.variable.text button').click();
  await hasText(value(b, 'demo:text'), 'from one');
  await b.locator('.variable.text input').fill('from two');
  await b.locator('.variable.text input').press('Enter');
  await hasText(value(a, 'demo:text'), 'from two');
  await stored('demo:text', 'from two');

  await a.locator('.variable.slider input').fill('17');
  await hasText(value(b, 'demo:slider'), '17');
  assert.equal(await b.locator('.variable.slider input').inputValue(), '17');
  await stored('demo:slider', 17);

  await b.locator('.variable.clock button').click();
  await eventually(async () => assert.match(await value(a, 'demo:clock').textContent(), /^\d\d:\d\d:\d\d$/));
});

test('a ticking clock ticks everywhere', async () => {
  const [a, b] = await both();
  await stage.call('sg_var_set', 'demo:clock', '"2001-02-03T04:05:06Z"');
  await a.locator('.variable.clock input').check();
  const seen = new Set();
  await eventually(async () => {
    seen.add(await value(b, 'demo:clock').textContent());
    assert.ok(seen.size >= 3);
  });
  await a.locator('.variable.clock input').uncheck();
});

test('a variable set with redis-cli shows on both', async () => {
  const pages = await both();
  const glowed = await glowing(pages[0]);
  await stage.call('sg_var_set', 'demo:text', '"from a shell"');
  for (const page of pages) await hasText(value(page, 'demo:text'), 'from a shell');
  await stage.call('sg_var_set', 'demo:text', '{"a":[1,null]}');
  for (const page of pages) await hasText(value(page, 'demo:text'), '{"a":[1,null]}');
  await stage.call('sg_var_delete', 'demo:text');
  for (const page of pages) await hasText(value(page, 'demo:text'), 'null');
  await glowed('changed demo:text');
});

/* ---- the list ---- */

test('the buttons change the list on both pages alike', async () => {
  await fill('a', 'b', 'c', 'd');
  const pages = await both();
  const [a, b] = pages;
  await shows(pages, { ids: ['a', 'b', 'c', 'd'] });

  await a.locator('#insert-value').fill('at the head');
  await a.locator('[data-where=head]').click();
  await a.locator('#insert-value').fill('in between');
  await a.locator('#insert-index').fill('2');
  await a.locator('[data-where=index]').click();
  await b.locator('#insert-value').fill('at the end');
  await b.locator('[data-where=end]').click();
  await eventually(async () => assert.equal((await truth()).total, 7));
  await shows(pages);
  const { items } = await truth();
  assert.deepEqual(items.map(([, , text]) => text), ['at the head', 'item a', 'in between', 'item b', 'item c', 'item d', 'at the end']);
  const [head, , between, , , , end] = items.map(([, id]) => id);

  await button(a, 'b', 'change').click();
  await row(a, 'b').locator('.edit input').fill('changed');
  await row(a, 'b').locator('.edit input').press('Enter');
  await hasText(row(b, 'b').locator('.text'), 'changed');

  await button(b, 'b', 'up').click();
  await shows(pages, { ids: [head, 'a', 'b', between, 'c', 'd', end] });
  await button(a, 'a', 'down').click();
  await shows(pages, { ids: [head, 'b', 'a', between, 'c', 'd', end] });
  await button(b, end, 'head').click();
  await shows(pages, { ids: [end, head, 'b', 'a', between, 'c', 'd'] });
  await button(a, between, 'delete').click();
  await button(b, 'd', 'delete').click();
  await shows(pages, { ids: [end, head, 'b', 'a', 'c'] });
});

test('Enter in the field inserts at the head', async () => {
  await fill('a');
  const [a, b] = await both();
  await shows([a, b], { ids: ['a'] });
  await a.locator('#insert-value').fill('typed');
  await a.locator('#insert-value').press('Enter');
  await eventually(async () => assert.deepEqual((await rows(b)).map(([, , text]) => text), ['typed', 'item a']));
});

test('changes made with redis-cli show, and glow', async () => {
  await fill('a', 'b', 'c');
  const pages = await both();
  await shows(pages, { ids: ['a', 'b', 'c'] });
  const [first, second] = [await glowing(pages[0]), await glowing(pages[1])];
  await stage.call('sg_list_insert', LIST, 1, 'n', '"new"');
  await shows(pages, { ids: ['a', 'n', 'b', 'c'] });
  await first('fresh n');
  await stage.call('sg_list_set', LIST, 'b', '{"x":1}');
  await hasText(row(pages[1], 'b').locator('.text'), '{"x":1}');
  await second('changed b');
  await stage.call('sg_list_move', LIST, 'a', -1);
  const order = (...ids) => eventually(async () => assert.deepEqual((await rows(pages[0])).map(([, id]) => id), ids));
  await order('n', 'b', 'c', 'a');
  await first('moved a');
  await stage.call('sg_list_delete', LIST, 'n');
  await order('b', 'c', 'a');
});

test('what moves is no newcomer, also when a picture falls between its two frames', async () => {
  await fill('a', 'b', 'c');
  const a = await stage.page(one, { script: 'globalThis.requestAnimationFrame = (run) => queueMicrotask(run)' });
  await shows([a], { ids: ['a', 'b', 'c'] });
  const glowed = await glowing(a);
  await stage.call('sg_list_move', LIST, 'a', -1);
  await shows([a], { ids: ['b', 'c', 'a'] });
  await glowed('moved a');
});

test('pages turn, slide and end', async () => {
  await fill(...numbered(25));
  const [a, b] = await both();
  const go = (where) => a.locator(`[data-go=${where}]`);
  await shows([a, b]);
  assert.equal(await go('previous').isDisabled(), true);
  await go('next').click();
  await shows([a], { number: 1 });
  await go('last').click();
  await shows([a], { number: 2 });
  assert.equal(await go('next').isDisabled(), true);
  await stage.call('sg_list_insert', LIST, 0, 'front', '"pushes everything"');
  await shows([a], { number: 2, ids: ['n19', 'n20', 'n21', 'n22', 'n23', 'n24'] });
  await shows([b]);
  await a.locator('#page-size').selectOption('5');
  await shows([a], { number: 4, size: 5 });
  await go('first').click();
  await shows([a], { size: 5, ids: ['front', 'n0', 'n1', 'n2', 'n3'] });
  await go('last').click();
  await shows([a], { number: 5, size: 5, ids: ['n24'] });
  await stage.call('sg_list_delete', LIST, 'n24'); // its page is gone: the gateway moves us
  await shows([a], { number: 4, size: 5, ids: ['n19', 'n20', 'n21', 'n22', 'n23'] });
  await button(a, 'n19', 'up').click(); // off the page
  await eventually(async () => assert.deepEqual((await truth(3, 5)).items.at(-1)[1], 'n19'));
  await shows([a], { number: 4, size: 5, ids: ['n18', 'n20', 'n21', 'n22', 'n23'] });
  await a.locator('#page-size').selectOption('50');
  await shows([a], { size: 50 });
});

test('a storm of changes from both sides leaves both pages equal', async () => {
  await fill(...numbered(12));
  const pages = await both();
  await shows(pages);
  for (const page of pages) await page.locator('#random').check();
  const before = (await stage.call('sg_list_page', LIST, 0, 1))[0];
  await eventually(async () => assert.ok((await stage.call('sg_list_page', LIST, 0, 1))[0] > before + 8));
  for (const page of pages) await page.locator('#random').uncheck();
  await shows(pages);
});

test('an id that is a number is another than the same as text', async () => {
  await stage.call('sg_list_set_all', LIST, '[{"id":1,"value":"number"},{"id":"1","value":"text"}]');
  const [a] = await both();
  await eventually(async () => assert.deepEqual((await rows(a)).map(([, , text]) => text), ['number', 'text']));
  await a.locator('.row:not(.leaving)').first().locator('[data-action=delete]').click();
  await eventually(async () => assert.deepEqual((await truth()).items, [[0, '1', 'text']]));
  await shows([a]);
});

/* ---- what is unsafe ---- */

test('markup in values, ids and answers is text', async () => {
  const evil = '<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>';
  const json = JSON.stringify(evil);
  await stage.call('sg_list_set_all', LIST, JSON.stringify([{ id: evil, value: evil }, { id: 'o', value: { [evil]: evil } }]));
  await stage.call('sg_var_set', 'demo:text', json);
  await stage.call('sg_var_set', 'demo:clock', json);
  await stage.call('sg_var_set', 'demo:slider', json);
  const [a, b] = await both();
  await eventually(async () => assert.deepEqual((await rows(a)).map(([, , text]) => text), [evil, JSON.stringify({ [evil]: evil })]));
  for (const name of ['demo:text', 'demo:clock', 'demo:slider']) await hasText(value(a, name), evil);
  await b.locator('#serve').check();
  await hasText(a.locator('#callable'), 'served now');
  assert.ok((await call(a, evil)).includes(`Hello, ${evil}!`));
  await contains(a.locator('#frames-log'), 'onerror');
  await a.locator('.row').first().locator('[data-action=change]').click();
  assert.equal(await a.locator('.edit input').inputValue(), evil);
  for (const page of [a, b]) {
    assert.equal(await page.locator('img, main script').count(), 0);
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
  }
});

/* ---- functions ---- */

test('a call is answered by the other tab', async () => {
  const [a, b] = await both();
  const name = await b.locator('#tab-name').textContent();
  await hasText(a.locator('#callable'), 'served by nobody');
  assert.match(await call(a, 'Ada'), /error 3/);
  await b.locator('#serve').check();
  await hasText(a.locator('#callable'), 'served now');
  const answer = await call(a, 'Grace');
  assert.ok(answer.includes('Hello, Grace!'), answer);
  assert.ok(answer.includes(`answered by ${name}`), answer);
  await contains(b.locator('#served'), 'answered one call, the last for Grace');
  assert.ok((await call(a, 'Linus', 'slow')).includes('Hello, Linus!'));
  assert.match(await call(a, 'Ada', 'argument'), /error 6 a name is needed/);
  assert.match(await call(a, '', ''), /error 6 a name is needed/);
  assert.match(await call(a, 'Ada', 'fail'), /error 8 this one always fails/);
  await b.locator('#serve').uncheck();
  await hasText(a.locator('#callable'), 'served by nobody');
  assert.match(await call(a, 'Ada'), /error 3/);
});

test('a function ends with its tab', async () => {
  const [a, b] = await both();
  await b.locator('#serve').check();
  await hasText(a.locator('#callable'), 'served now');
  await b.context().close();
  await hasText(a.locator('#callable'), 'served by nobody');
});

/* ---- frames ---- */

test('the frames log shows, filters, pauses and clears', async () => {
  /* What is there is not asked for again: no frame comes by itself once all is shown. */
  await fill('a');
  for (const name of ['text', 'slider', 'clock']) await stage.call('sg_var_set', `demo:${name}`, '"2001-02-03T04:05:06Z"');
  const [a] = await both();
  await shows([a], { ids: ['a'] });
  for (const name of ['text', 'slider', 'clock']) await eventually(async () => assert.notEqual(await value(a, `demo:${name}`).textContent(), '–'));
  const shown = (direction) => a.locator(`#frames-log li:not([hidden])${direction ? `[data-direction=${direction}]` : ''}`);
  await contains(a.locator('#frames-log'), '{"func":"subscribe","type":"list","name":"demo:todo","wait":true,"page_size":');
  await shown('in').filter({ hasText: '"func":"set_all"' }).first().waitFor();

  await a.locator('#frames-direction').selectOption('out');
  assert.equal(await shown('in').count(), 0);
  assert.ok((await shown('out').count()) > 0);
  await a.locator('#frames-direction').selectOption('');
  await a.locator('#frames-filter').fill('DEMO:TEXT');
  for (const text of await shown().allTextContents()) assert.ok(text.includes('demo:text'), text);
  await a.locator('#frames-filter').fill('');

  await a.locator('#frames-clear').click();
  assert.equal(await shown().count(), 0);
  await a.locator('#frames-pause').click();
  await stage.call('sg_var_set', 'demo:text', '"while paused"');
  await contains(a.locator('#frames-count'), 'waiting'); // one, and perhaps a ping and a pong
  await hasText(value(a, 'demo:text'), 'while paused'); // only the log stands still
  assert.equal(await shown().count(), 0);
  await a.locator('#frames-pause').click();
  await contains(shown('in'), 'while paused');

  await a.locator('#frames-filter').fill('only this');
  await stage.call('sg_var_set', 'demo:text', '"something else"');
  await hasText(value(a, 'demo:text'), 'something else');
  await stage.call('sg_var_set', 'demo:text', '"only this"');
  await contains(shown(), 'only this');
  assert.equal(await shown().count(), 1);
});

/* ---- two gateways on one page ---- */

test('a second gateway is shown beside the first, and is equal', async () => {
  await fill(...numbered(25));
  const a = await stage.page(one);
  await shows([a]);
  await a.locator('#second-url').fill('http://');
  await a.locator('#second-connect').click();
  await contains(a.locator('#second-problem'), 'not an address');
  await a.locator('#second-url').fill(two.host);
  await a.locator('#second-connect').click();
  const equal = a.locator('#list-equal[data-state=equal]');
  await equal.waitFor();
  await contains(a.locator('#link-2'), `Connected to ${two.host}`);
  assert.deepEqual(await rows(a, 2), await rows(a));

  await a.locator('[data-go=last]').click();
  await shows([a], { number: 2 });
  await equal.waitFor();
  await eventually(async () => assert.deepEqual(await rows(a, 2), (await truth(2)).items));
  await stage.call('sg_list_insert', LIST, 0, 'front', '"slides both"');
  await shows([a], { number: 2 });
  await eventually(async () => assert.deepEqual(await rows(a, 2), (await truth(2)).items));
  await equal.waitFor();
  await a.locator('.variable.text input').fill('on both');
  await a.locator('.variable.text button').click();
  await hasText(value(a, 'demo:text'), 'on both');
  await a.locator('.variable.text .badge[data-state=equal]').waitFor();
  await a.locator('#frames-log .frame-gateway').filter({ hasText: '2' }).first().waitFor();

  await two.kill();
  await a.locator('#list-equal[data-state=differs]').waitFor();
  await contains(a.locator('#link-2'), 'No connection');
  await contains(a.locator('#link-1'), 'Connected');
  await two.start();
  await a.locator('#retry').dispatchEvent('click'); // it is hidden if the client has come back by itself
  await equal.waitFor();
  await a.locator('#second-close').click();
  assert.equal(await a.locator('.pane').count(), 1);
  assert.equal(await a.locator('#link-2').isVisible(), false);
  assert.equal(await a.locator('#list-equal').isVisible(), false);
  await shows([a], { number: 2 });
});

/* ---- losing a gateway ---- */

test('a page comes back when its gateway does, with all it had', async () => {
  await fill(...numbered(25));
  const [a, b] = await both();
  await b.locator('[data-go=next]').click();
  await shows([b], { number: 1 });
  await b.locator('#serve').check();
  await hasText(a.locator('#callable'), 'served now');

  await two.kill();
  await b.locator('#link-1[data-state=waiting]').waitFor();
  await contains(b.locator('#link-1'), `No connection to ${two.host}, trying again in`);
  await b.locator('.variable.text input').fill('nobody hears this');
  await b.locator('.variable.text button').click();
  await contains(b.locator('#notice'), 'no connection');
  await stage.call('sg_list_insert', LIST, 0, 'meanwhile', '"meanwhile"');
  await a.locator('.variable.text input').fill('said meanwhile');
  await a.locator('.variable.text button').click();
  await shows([a]);

  await two.start();
  await b.locator('#link-1[data-state=open]').waitFor();
  await shows([b], { number: 1 });
  await hasText(value(b, 'demo:text'), 'said meanwhile');
  await hasText(a.locator('#callable'), 'served now');
  assert.ok((await call(a, 'Ada')).includes('Hello, Ada!'));
  await stage.call('sg_list_set', LIST, 'n12', '"after"');
  await hasText(row(b, 'n12').locator('.text'), 'after');
  await shows([b], { number: 1 });
});

test('try now does not wait', async () => {
  const b = await stage.page(two);
  await b.evaluate(() => (gate._backoff = { min: 600000, max: 600000 })); // by itself it would come in minutes
  await two.kill();
  await b.locator('#retry').waitFor();
  await two.start();
  await b.locator('#retry').click();
  await b.locator('#link-1[data-state=open]').waitFor();
  assert.equal(await b.locator('#retry').isVisible(), false);
});

test('a gateway without Redis is not shown as well, nor one that has it back as ill', async () => {
  const page = await stage.page(one);
  await page.locator('#link-1[data-ready=yes]').waitFor();
  await stage.redis.end('SIGKILL');
  await page.locator('#link-1[data-ready=no]').waitFor();
  await contains(page.locator('#link-1'), 'not ready: redis away');
  const dot = () => page.locator('#link-1 .dot').evaluate((element) => getComputedStyle(element).backgroundColor);
  const ill = await dot();
  await stage.startRedis();
  await page.locator('#link-1[data-ready=yes]').waitFor();
  await hasText(page.locator('#link-1 .link-text'), `Connected to ${one.host}`);
  assert.notEqual(await dot(), ill);
});

/* ---- grants ---- */

test('a page without grants says so plainly, and a token helps', async () => {
  await fill('a', 'b');
  await stage.call('sg_var_set', 'demo:text', '"untouched"');
  const config = await stage.file('tokens.yaml', `
anonymous: { subscribe: ["demo:*"], call: ["*"] }
tokens:
  - { token: "let me in", name: page, subscribe: ["demo:*"], write: ["demo:*"], serve: ["demo.*"], call: ["*"] }
`);
  const strict = await stage.gateway(['--config', config]);
  const page = await stage.page(strict);
  await shows([page], { ids: ['a', 'b'] });
  const refused = async (name) => {
    await contains(page.locator('#notice'), `refused to let this page ${name}`);
    await contains(page.locator('#notice'), '--dev');
    await page.locator('#notice-close').click();
    assert.equal(await page.locator('#notice').isVisible(), false);
  };
  await page.locator('.variable.text button').click();
  await refused('write demo:text');
  await button(page, 'a', 'delete').click();
  await refused('write demo:todo');
  await page.locator('#serve').click();
  await refused('serve demo.greet');
  assert.equal(await page.locator('#serve').isChecked(), false); // what was refused is not on
  await hasText(page.locator('#served'), '');
  await shows([page], { ids: ['a', 'b'] });
  await stored('demo:text', 'untouched');

  const trusted = await stage.page(strict, { query: '?token=let%20me%20in' });
  await shows([trusted], { ids: ['a', 'b'] });
  await button(trusted, 'a', 'delete').click();
  await shows([trusted, page], { ids: ['b'] });
  await trusted.locator('#serve').check();
  await hasText(page.locator('#callable'), 'served now');
  assert.equal(await trusted.locator('#notice').isVisible(), false);
});

test('without a grant nothing is created, and the page says so', async () => {
  await stage.call('sg_list_drop', LIST);
  const strict = await stage.gateway([]);
  const page = await stage.page(strict);
  await contains(page.locator('.empty'), 'not there yet');
  await page.locator('.empty button').click();
  await contains(page.locator('#notice'), 'refused to let this page write demo:todo');
  assert.equal(await stage.call('sg_list_page', LIST, 0, 10), null);
});

/* ---- pages of others ---- */

test('a page of another origin imports the client, and its integrity is checked', async () => {
  const sum = (await fetch(`${one.url}syncgate.js`)).headers.get('repr-digest').replace(/^sha-256=:(.*):$/, 'sha256-$1');
  const shop = async (integrity) => {
    const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(`<!doctype html><title>shop</title>
      <link rel="icon" href="data:,"><script type="module" src="${one.url}syncgate.js" integrity="${integrity}" crossorigin
        onload="import('${one.url}syncgate.js').then(({ connect }) => (document.title = typeof connect))" onerror="document.title = 'refused'"></script>`));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const page = await (await stage.browser.newContext()).newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    server.close();
    return page;
  };
  const [good, bad] = [await shop(sum), await shop('sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')];
  await eventually(async () => assert.equal(await good.title(), 'function'));
  await eventually(async () => assert.equal(await bad.title(), 'refused'));
});

/* ---- for everyone ---- */

test('every control has a name, and moving an item keeps the focus on its button', async () => {
  await fill('a', 'b', 'c');
  const [a] = await both();
  await shows([a], { ids: ['a', 'b', 'c'] });
  const nameless = await a.locator('button, input, select').evaluateAll((controls) =>
    controls.filter((control) => !(control.getAttribute('aria-label') || control.textContent.trim() || control.labels?.[0]?.textContent.trim()))
      .map((control) => control.outerHTML));
  assert.deepEqual(nameless.filter((html) => !html.startsWith('<select')), []);

  await button(a, 'a', 'down').focus();
  await a.keyboard.press('Enter');
  await shows([a], { ids: ['b', 'a', 'c'] });
  await eventually(async () => assert.equal(await a.evaluate(() => document.activeElement.closest('.row')?.dataset.id), 'a'));
  assert.equal(await a.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Move down item a');
  await a.keyboard.press('Enter');
  await shows([a], { ids: ['b', 'c', 'a'] });
  await contains(a.locator('#announcer'), 'Moved item a to index 2');
  await button(a, 'b', 'delete').focus();
  await a.keyboard.press('Enter');
  await shows([a], { ids: ['c', 'a'] });
  await eventually(async () => assert.equal(await a.evaluate(() => document.activeElement.closest('.row')?.dataset.id), 'c'));
});

test('editing ends with Escape, and what others change meanwhile arrives', async () => {
  await fill('a', 'b');
  const [a] = await both();
  await shows([a], { ids: ['a', 'b'] });
  await button(a, 'a', 'change').click();
  await row(a, 'a').locator('.edit input').fill('half a word');
  await stage.call('sg_list_set', LIST, 'a', '"theirs"');
  await stage.call('sg_list_insert', LIST, 0, 'n', '"new"');
  await eventually(async () => assert.deepEqual((await rows(a)).map(([, id]) => id), ['n', 'a', 'b']));
  assert.equal(await row(a, 'a').locator('.edit input').inputValue(), 'half a word');
  await row(a, 'a').locator('.edit input').press('Escape');
  await hasText(row(a, 'a').locator('.text'), 'theirs');
  await shows([a], { ids: ['n', 'a', 'b'] });
});

test('a long value takes a few lines, and all of it on demand', async () => {
  const long = `${'x'.repeat(2990)} the end`;
  await stage.call('sg_list_set_all', LIST, JSON.stringify([{ id: 'a', value: long }]));
  await stage.call('sg_var_set', 'demo:text', JSON.stringify(long));
  const page = await stage.page(one, { viewport: { width: 390, height: 844 } });
  const text = row(page, 'a').locator('.text');
  await contains(text, 'all 2,998 characters');
  await contains(value(page, 'demo:text'), 'all 2,998 characters');
  const heights = await page.locator('.row, .value').evaluateAll((elements) => elements.map((element) => element.getBoundingClientRect().height));
  assert.ok(Math.max(...heights) < 844, heights); // of a screen
  await text.locator('button').click();
  await hasText(text, long);
  await stage.call('sg_list_set', LIST, 'a', '"short"');
  await hasText(text, 'short');
});

for (const [name, options] of [
  ['a phone', { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }],
  ['the dark', { colorScheme: 'dark' }],
  ['no motion', { reducedMotion: 'reduce' }],
]) {
  test(`works on ${name}`, async () => {
    await fill('a', 'b', 'long'.repeat(40));
    const page = await stage.page(one, options);
    await page.locator('#second-url').fill(two.url);
    await page.locator('#second-connect').click();
    await page.locator('#list-equal[data-state=equal]').waitFor();
    await button(page, 'a', 'delete').click();
    await shows([page], { ids: ['b', 'long'.repeat(40)] });
    await call(page, 'Ada');
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  });
}
