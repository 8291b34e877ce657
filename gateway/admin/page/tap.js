/* Frames of other people's connections, as they pass. */
import { Denied, follow } from './admin.js';
import { $, batch, h } from './dom.js';
import { count } from './units.js';

const KEPT = 400;
const RETRY_MS = 1000;

const pad = (number, digits) => String(number).padStart(digits, '0');

function clock(ms) {
  const at = new Date(ms);
  return `${pad(at.getHours(), 2)}:${pad(at.getMinutes(), 2)}:${pad(at.getSeconds(), 2)}.${pad(at.getMilliseconds(), 3)}`;
}

function rowOf({ time_ms, direction, conn, name, bytes, cut, text }) {
  const sent = direction === 'out';
  return h('li', { 'data-direction': direction, 'data-conn': conn },
    h('time', {}, clock(time_ms)),
    h('span', { class: 'frame-direction', title: sent ? 'to the client' : 'from the client' }, sent ? '↓' : '↑', h('span', { class: 'sr' }, sent ? 'to the client' : 'from the client')),
    h('span', { class: 'tap-conn' }, `#${conn}`),
    h('span', { class: 'frame-func' }, name ?? ''),
    h('span', {}, h('code', { class: 'frame-text' }, text), ...(cut ? [h('span', { class: 'quiet' }, ` … of ${count(bytes)} bytes`)] : [])));
}

export class Tap {
  #log = $('tap-log');
  #arrived = [];
  #abort = null;
  #worker = null; // whose frames are wanted, when it matters
  #paused = false;
  #shown = 0;
  #dropped = 0;
  #missed = 0; // arrived while paused, and not kept
  #render = batch(() => this.#show());

  /** onDenied is called when the gateway wants a token. */
  constructor(onDenied) {
    this.onDenied = onDenied;
    $('tap-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#abort ? this.stop() : this.start();
    });
    $('tap-pause').addEventListener('click', () => this.#pause(!this.#paused));
    $('tap-clear').addEventListener('click', () => this.#clear());
    for (const id of ['tap-name', 'tap-conn']) $(id).addEventListener('change', () => this.#abort && this.start());
    this.#say('');
  }

  /** connection taps one connection and nothing else. */
  connection({ id, worker }) {
    $('tap-conn').value = id;
    $('tap-name').value = '';
    this.start(worker);
    $('tap').scrollIntoView({ block: 'nearest' });
    $('tap-stop').focus();
  }

  start(worker = null) {
    this.stop();
    this.#worker = worker;
    const abort = new AbortController();
    this.#abort = abort;
    $('tap-stop').textContent = 'Stop';
    $('tap-stop').setAttribute('aria-pressed', 'true');
    this.#run(abort.signal);
  }

  stop() {
    this.#abort?.abort();
    this.#abort = null;
    $('tap-stop').textContent = 'Start';
    $('tap-stop').setAttribute('aria-pressed', 'false');
    this.#say('');
  }

  /* The gateway ends a tap after some minutes; who still looks begins another. */
  async #run(signal) {
    const query = new URLSearchParams({ name: $('tap-name').value.trim(), conn: $('tap-conn').value.trim() });
    while (!signal.aborted) {
      try {
        await this.#once(`admin/tap?${query}`, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Denied) {
          this.stop();
          this.onDenied(error);
          return;
        }
        this.#say(error.message);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /* Of several workers any may answer: one that is not the wanted one is left again. */
  async #once(path, signal) {
    const turn = new AbortController();
    const leave = () => turn.abort();
    signal.addEventListener('abort', leave);
    try {
      await follow(path, turn.signal, (event) => {
        const wrong = event.kind === 'open' && this.#worker !== null && event.data.worker !== this.#worker;
        if (wrong) turn.abort();
        else if (!turn.signal.aborted) this.#take(event);
      });
    } catch (error) {
      if (signal.aborted || error.name !== 'AbortError') throw error;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  #take({ kind, data }) {
    if (kind === 'frame') {
      this.#shown++;
      this.#arrived.push(data);
      if (this.#arrived.length > KEPT) this.#missed += this.#arrived.splice(0, this.#arrived.length - KEPT).length;
    } else {
      this.#dropped = data.dropped;
    }
    this.#render();
  }

  #pause(on) {
    this.#paused = on;
    $('tap-pause').setAttribute('aria-pressed', String(on));
    $('tap-pause').textContent = on ? 'Resume' : 'Pause';
    this.#render();
  }

  #clear() {
    this.#arrived = [];
    this.#shown = this.#missed = 0;
    this.#log.replaceChildren();
    this.#render();
  }

  #show() {
    if (this.#abort) this.#say('');
    if (this.#paused) return;
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 24;
    this.#log.append(...this.#arrived.splice(0).map(rowOf));
    while (this.#log.children.length > KEPT) this.#log.firstElementChild.remove();
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #say(problem) {
    const waiting = this.#paused && this.#arrived.length ? `, ${count(this.#arrived.length)} waiting` : '';
    const dropped = this.#dropped ? `, ${count(this.#dropped)} dropped` : '';
    $('tap-count').textContent = problem || `${count(this.#shown)} frames${waiting}${dropped}`;
    this.#log.dataset.empty = this.#abort ? 'Waiting for a frame that passes the filter.' : 'Off. What clients say and hear is shown here, while you look.';
  }
}
