/* The tour of README.md as it is written there: its commands in a shell, its lines in a browser's console, and what it says
 * that arrives. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Stage, eventually } from './stage.js';

const stage = new Stage();
const shell = promisify(execFile);

before(() => stage.open());
after(() => stage.close());

/* blocks reads [{ language, text }] of one chapter. */
async function blocks(chapter) {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const text = readme.split(/^(?=## )/m).find((part) => part.startsWith(`## ${chapter}\n`));
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({ language, text: code }));
}

test('the tour does what it says', async () => {
  const page = await stage.page(await stage.gateway(['--dev']));
  const said = [];
  const expected = [];
  page.on('console', (message) => said.push(message.text()));
  await eventually(async () => assert.equal(await page.locator('#list-total').textContent(), '12 items'));
  const console = await page.context().newCDPSession(page);
  let ran = 0;
  for (const { language, text } of await blocks('Five minutes')) {
    if (language === 'sh') {
      const { stdout } = await shell('bash', ['-ec', text.replaceAll('-s syncgate-data/redis.sock', `-e -s ${stage.socket}`)]);
      assert.match(stdout, /^(\d+\n)+$/);
      ran++;
    }
    if (language !== 'js') continue;
    const { exceptionDetails } = await console.send('Runtime.evaluate', { expression: text, replMode: true, awaitPromise: true });
    assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
    expected.push(...[...text.matchAll(/^\/\/ (.*)$/gm)].map(([, line]) => line));
    await eventually(() => assert.deepEqual(said, expected));
    ran++;
  }
  assert.ok(ran >= 9, `${ran} blocks`);
  await page.locator('.row[data-id="any-id"]').waitFor();
  await eventually(async () => assert.equal(await page.locator('.variable.text .value').textContent(), 'from a shell'));
  await stage.closePages();
});
