/* Both halves of the page by the rules of axe (WCAG 2.2 A and AA, and its best practices), filled with what makes trouble. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';
import { Client } from './clients.js';
import { Stage, eventually } from './stage.js';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const looks = [
  ['a desktop, light', {}],
  ['a desktop, dark', { colorScheme: 'dark' }],
  ['a phone, light', PHONE],
  ['a phone, dark', { ...PHONE, colorScheme: 'dark' }],
];

const stage = new Stage();
const clients = [];
let one;

before(async () => {
  await stage.open();
  one = await stage.gateway(['--dev', '--queue-budget', '64MiB']);
  await stage.gateway();
  await stage.call('sg_list_set_all', 'demo:todo', JSON.stringify(['short', 'long '.repeat(600), 'x'.repeat(3000)].map((value, i) => ({ id: `item-${i}`, value }))));
  await stage.call('sg_var_set', 'demo:text', JSON.stringify('y'.repeat(3000)));
  for (const name of ['demo:slider', 'big']) await stage.call('sg_var_set', name, '7');
  for (let i = 0; i < 3; i++) clients.push(await Client.open(one));
  const slow = clients[0];
  slow.subscribe('big');
  slow.stall();
  await eventually(async () => {
    await stage.call('sg_var_set', 'big', JSON.stringify('z'.repeat(30000)));
    const { connections } = await (await fetch(`${one.url}admin/connections?order=trouble&limit=1`)).json();
    assert.ok(connections[0].dirty > 0);
  });
  await fetch(`${one.url}nothing-here`);
});

after(async () => {
  for (const client of clients) client.close();
  await stage.close();
});

afterEach(async () => {
  await stage.closePages();
  assert.deepEqual(stage.takeProblems(), []);
});

/* What axe finds, one line each. The page's policy forbids scripts of others, so it comes in through the debugger. */
async function violations(page) {
  await page.evaluate(() => document.getAnimations().forEach((animation) => animation.finish())); // what glows is no colour to judge
  await page.evaluate(axe);
  const found = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: 'tag', values } }), TAGS);
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id} ${target.join(' ')}: ${failureSummary}`));
}

for (const [name, options] of looks) {
  test(`axe finds nothing in “Try it” on ${name}`, async () => {
    const page = await stage.page(one, options);
    await page.locator('.row').nth(2).waitFor();
    await page.locator('#call button').click();
    await page.locator('#answers li').first().waitFor();
    await page.locator('#frames-log li').nth(3).waitFor();
    assert.deepEqual(await violations(page), []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  });

  test(`axe finds nothing in “Operate” on ${name}`, async () => {
    const page = await stage.page(one, { ...options, query: '#operate' });
    await page.locator('#fleet-rows tr').nth(1).waitFor();
    await page.locator('#connections-rows tr[data-state=slow]').waitFor();
    await page.locator('#refusals-rows tr').first().waitFor();
    await page.locator('#names-rows tr').nth(2).waitFor();
    assert.deepEqual(await violations(page), []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
    for (const button of ['#connections-rows tr[data-state=slow] button', '#names-rows tr[data-key="list demo:todo"] button', '#names-rows tr[data-key="var demo:text"] button', '#drain']) {
      await page.locator(button).first().click();
      await page.locator('dialog[open] .facts, dialog[open] #confirm-text').waitFor();
      assert.deepEqual(await violations(page), [], button);
      assert.equal(await page.locator('dialog[open]').evaluate((dialog) => dialog.scrollWidth <= dialog.clientWidth), true, button);
      await page.keyboard.press('Escape');
      await page.locator('dialog[open]').waitFor({ state: 'detached' });
    }
  });
}
