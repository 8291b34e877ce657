/* Makes the pictures of docs/images: *Try it* as a newcomer sees it, and *Operate* with three gateways, a crowd, a few slow readers,
 * changes. Not a test; `tests/browser/run --pictures` runs it after the tests.
 *
 *   SYNCGATE_BIN=… SYNCGATE_CHROMIUM=… node screenshot.js [folder] */
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from './clients.js';
import { Stage, eventually } from './stage.js';

const folder = process.argv[2] ?? path.resolve(import.meta.dirname, '../../docs/images');
const seconds = Number(process.env.SECONDS_BEFORE ?? 150);
const stage = new Stage();
const clients = [];
const phone = { viewport: { width: 390, height: 844 }, isMobile: true };
const names = Array.from({ length: 12 }, (_, i) => `${['order', 'price', 'room'][i % 3]}:${41 + i * 7}`);

async function tryIt() {
  const gateway = await stage.gateway(['--dev', '--prefix', 'try:']);
  for (const [name, options] of [['try-it', {}], ['try-it-dark', { colorScheme: 'dark' }], ['try-it-phone', phone]]) {
    const page = await stage.page(gateway, options);
    await page.locator('.row').nth(3).waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll('.row')].every((row) => !row.getAnimations({ subtree: true }).length));
    await stage.call('sg_var_set', 'try:{demo:text}', '"changed from a shell"');
    await eventually(async () => {
      if (!(await page.locator('.demo').textContent()).includes('changed from a shell')) throw new Error('not told yet');
    });
    await page.screenshot({ path: path.join(folder, `${name}.png`) });
    console.log(`${name}.png`);
    await page.context().close();
  }
}

async function crowd(gateway, count, token) {
  for (let i = 0; i < count; i++) {
    const client = await Client.open(gateway, token);
    for (let n = 0; n < 3; n++) client.subscribe(names[(i * 5 + n * 4) % names.length]);
    clients.push(client);
  }
}

async function stalled(gateway, token) {
  const client = await Client.open(gateway, token);
  client.subscribe('report:big');
  for (const name of names.slice(0, 3)) client.subscribe(name);
  clients.push(client);
  await pause(200);
  client.stall();
}

async function changes(until) {
  for (let n = 0; !until.aborted; n++) {
    const wave = 1 + Math.floor(3 * (1 + Math.sin(n / 55)) * Math.random());
    for (let i = 0; i < wave; i++) {
      const name = names[Math.floor(Math.random() * names.length)];
      await stage.call('sg_var_set', name, JSON.stringify({ state: ['packed', 'shipped', 'paid'][n % 3], total: (Math.random() * 90).toFixed(2) }));
    }
    if (n % 12 === 0) await stage.call('sg_var_set', 'report:big', JSON.stringify({ n, rows: 'x'.repeat(30000) }));
    await pause(30);
  }
}

try {
  await stage.open();
  await tryIt();
  const config = await stage.file('syncgate.yaml', `
tokens:
  - { token: "s3cret-dashboard", name: dashboard, subscribe: ["*"] }
  - { token: "s3cret-shop", name: shop, subscribe: ["*"], write: ["*"] }
anonymous: { subscribe: ["*"], call: ["*"], write: ["*"], serve: ["*"] }
`);
  const gateways = [];
  for (let i = 0; i < 3; i++) gateways.push(await stage.gateway(['--config', config, '--max-message', '8KiB', '--ping-interval', '10m']));
  for (const name of [...names, 'report:big']) await stage.call('sg_var_set', name, '0');
  const [one, two, three] = gateways;
  await Promise.all([crowd(one, 180, 's3cret-dashboard'), crowd(two, 160), crowd(three, 60, 's3cret-shop')]);
  const end = new AbortController();
  const writing = changes(end.signal);
  await pause(seconds * 400);
  await crowd(one, 40);
  await stalled(one, 's3cret-dashboard');
  await stalled(one);
  for (const where of ['ws/socksync/?token=old', 'wp-login.php', '.env']) await fetch(one.url + where).catch(() => {});
  for (let i = 0; i < 4; i++) await Client.open(one, 'expired-token').catch(() => {});
  const loud = await Client.open(one, 's3cret-shop');
  loud.say({ func: 'set', type: 'var', name: 'order:41', value: 'y'.repeat(9000) });
  await pause(seconds * 600);
  for (const [name, options] of [['operate', {}], ['operate-dark', { colorScheme: 'dark' }], ['operate-phone', phone]]) {
    const page = await stage.page(one, { query: '#operate', viewport: { width: 1280, height: 1240 }, ...options });
    await page.locator('#fleet-rows tr').nth(2).waitFor();
    await page.locator('#connections-rows tr[data-state=slow]').nth(1).waitFor();
    await page.locator('#connections-rows tr[data-state=busy]').first().waitFor({ state: 'detached' });
    await page.locator('#tap-name').fill('order:*');
    await page.locator('#tap-stop').click();
    await eventually(async () => {
      if ((await page.locator('#tap-log li').count()) < 12) throw new Error('few frames');
    });
    await page.evaluate(() => scrollTo(0, 0));
    const whole = name === 'operate-phone' ? { fullPage: true, clip: { x: 0, y: 0, width: 390, height: 2000 } } : {};
    await page.screenshot({ path: path.join(folder, `${name}.png`), ...whole });
    console.log(`${name}.png`);
    if (name === 'operate') {
      await page.locator('#connections-rows tr[data-state=slow] button').first().click();
      await page.locator('#dialog .facts').waitFor();
      await page.locator('#dialog').screenshot({ path: path.join(folder, 'connection.png') });
      console.log('connection.png');
    }
    await page.context().close();
  }
  end.abort();
  await writing;
  for (const client of clients) client.close();
  console.log(stage.takeProblems());
} finally {
  await stage.close();
}
