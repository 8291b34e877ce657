/* What the tests stand on: a private Redis, gateways, a browser, and waiting for what will be seen. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const PATIENCE_MS = 30000; // a hang guard, not an expectation

const OPEN = 'anonymous: { subscribe: ["*"], call: ["*"], write: ["*"], serve: ["*"] }\nallowed_origins: ["http://127.0.0.1:*"]\n';

const run = promisify(execFile);

/** eventually tries `check` until it does not throw; then returns what it returned. */
export async function eventually(check) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(20);
    }
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

class Process {
  constructor(file, args, options = {}) {
    this.output = '';
    this.child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.ended = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }));
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (data) => (this.output += data));
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async end(signal) {
    if (this.running) this.child.kill(signal);
    return this.ended;
  }
}

export class Gateway {
  constructor(stage, port, flags) {
    this.stage = stage;
    this.port = port;
    this.flags = flags;
    this.host = `127.0.0.1:${port}`;
    this.url = `http://${this.host}/`;
  }

  async start() {
    this.process = new Process(process.env.SYNCGATE_BIN,
      ['--listen', this.host, '--redis', `unix:${this.stage.socket}`, '--drain-seconds', '0', ...this.flags], { cwd: this.stage.folder });
    await eventually(async () => {
      if (!this.process.running) throw new Error(`the gateway ended:\n${this.process.output}`);
      const response = await fetch(`${this.url}readyz`);
      if (response.status !== 200) throw new Error(`/readyz answers ${response.status}`);
    });
    return this;
  }

  async kill() {
    await this.process.end('SIGKILL');
  }

  /* A gateway that was not killed ends well. */
  async stop() {
    const { code, signal } = await this.process.end('SIGTERM');
    if (signal !== 'SIGKILL' && code !== 0) throw new Error(`the gateway ended with ${code ?? signal}:\n${this.process.output}`);
  }
}

export class Stage {
  #gateways = [];
  #problems = []; // what the browser complained about

  async open() {
    this.folder = await mkdtemp(path.join(tmpdir(), 'syncgate-browser-'));
    this.socket = path.join(this.folder, 'redis.sock');
    await this.startRedis();
    this.browser = await chromium.launch({
      executablePath: process.env.SYNCGATE_CHROMIUM,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync'],
    });
  }

  /** startRedis starts one that knows nothing; `this.redis.end` takes it away. */
  async startRedis() {
    this.redis = new Process('redis-server', ['--port', '0', '--unixsocket', this.socket, '--save', '', '--appendonly', 'no', '--dir', this.folder]);
    await eventually(() => this.command('PING'));
  }

  async close() {
    await this.browser?.close();
    const ends = await Promise.allSettled(this.#gateways.map((gateway) => gateway.stop()));
    await this.redis?.end('SIGTERM');
    await rm(this.folder, { recursive: true, force: true });
    const failed = ends.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** gateway starts one more; without flags anonymous may do everything, and nothing moves by itself as it does with --dev. */
  async gateway(flags) {
    const gateway = new Gateway(this, await freePort(), flags ?? ['--config', await this.file('open.yaml', OPEN)]);
    this.#gateways.push(gateway);
    return gateway.start();
  }

  async file(name, text) {
    const file = path.join(this.folder, name);
    await writeFile(file, text);
    return file;
  }

  /** command runs a Redis command through redis-cli, as a person would, and returns its answer parsed. */
  async command(...words) {
    const { stdout } = await run('redis-cli', ['-s', this.socket, '-3', '--json', '-e', ...words.map(String)]);
    return JSON.parse(stdout);
  }

  call(name, key, ...args) {
    return this.command('FCALL', name, 1, key, ...args);
  }

  /** page opens the page of a gateway in a browser of its own, and waits until it is connected. `script` runs there before all
    * others. */
  async page(gateway, { query = '', script, ...options } = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    if (script) await context.addInitScript(script);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('pageerror', (error) => this.#problems.push(error.stack));
    page.on('console', (message) => {
      /* A gateway that is down or not ready is the subject of a test; an interface that came or went is somebody else's, on this machine. */
      if (message.type() === 'error' && !/ERR_CONNECTION_|ERR_EMPTY_RESPONSE|ERR_NETWORK_CHANGED|WebSocket|status of 503/.test(message.text())) this.#problems.push(message.text());
    });
    await page.goto(gateway.url + query);
    await page.locator('#link-1[data-state=open]').waitFor();
    return page;
  }

  /** takeProblems returns what the pages complained about since the last time. */
  takeProblems() {
    return this.#problems.splice(0);
  }

  async closePages() {
    await Promise.all(this.browser.contexts().map((context) => context.close()));
  }
}
