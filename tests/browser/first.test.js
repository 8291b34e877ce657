/* The first minute: what a visitor sees who has typed nothing, and what a name does that comes while it is looked for. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Stage, eventually } from './stage.js';

const stage = new Stage();
const shell = promisify(execFile);

before(() => stage.open());
after(() => stage.close());
afterEach(async () => {
  await stage.closePages();
  assert.deepEqual(stage.takeProblems(), []);
});

const shown = (page, name) => page.locator(`.variable[data-name="${name}"] .value`).textContent();
const becomes = (page, name, text) => eventually(async () => assert.equal(await shown(page, name), text));

/* Nothing that waits for longer than an animation ever runs: what is asked again later is never asked. */
const timeless = () => {
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (run, ms, ...rest) => (ms < 700 ? setTimeout(run, ms, ...rest) : 0);
};

test('under --dev something moves, and there is a list to play with', async () => {
  const page = await stage.page(await stage.gateway(['--dev', '--prefix', 'first:']));
  await becomes(page, 'demo:slider', '42');
  await eventually(async () => assert.equal(await page.locator('#list-total').textContent(), '12 items'));
  await eventually(async () => assert.match(await shown(page, 'demo:clock'), /^\d\d:\d\d:\d\d$/));
  const before = await shown(page, 'demo:clock');
  await eventually(async () => assert.notEqual(await shown(page, 'demo:clock'), before));
  assert.equal((await page.locator('#frames-log').textContent()).includes('"error"'), false);
  assert.equal((await page.locator('.demo').textContent()).includes('not there yet'), false);
  await stage.call('sg_var_set', 'first:{demo:text}', '"from a shell"');
  await becomes(page, 'demo:text', 'from a shell');
});

test('a name that appears is shown at once to who waits for it', async () => {
  const page = await stage.page(await stage.gateway(), { script: timeless });
  await eventually(async () => assert.ok((await page.locator('.empty').textContent()).includes('not there yet')));
  await stage.call('sg_var_set', 'demo:text', '"here"');
  await becomes(page, 'demo:text', 'here');
  await stage.call('sg_list_insert', 'demo:todo', 0, 'new-id', '"from a shell"');
  await page.locator('.row[data-id="new-id"]').waitFor();
});

for (const prefix of ['sg:', "it's:"]) test(`the commands on the page run as they are, with the prefix ${prefix}`, async () => {
  const page = await stage.page(await stage.gateway(['--dev', '--prefix', prefix]));
  await page.locator('.row').first().waitFor();
  await page.locator('#shell-note').waitFor({ state: 'hidden' });
  for (const command of await page.locator('footer code:has(.redis-cli)').allTextContents()) {
    const { stdout } = await shell('sh', ['-c', command]);
    assert.match(stdout, /^\d+\n$/, command);
  }
  await becomes(page, 'demo:text', 'hello');
  await page.locator('.row[data-id="any-id"]').waitFor();
});
