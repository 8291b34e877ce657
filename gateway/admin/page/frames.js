/* The frames as they come and go. */
import { $, batch, h, putText } from './dom.js';

const KEPT = 500;

const pad = (number, digits) => String(number).padStart(digits, '0');

function clock(at) {
  return `${pad(at.getHours(), 2)}:${pad(at.getMinutes(), 2)}:${pad(at.getSeconds(), 2)}.${pad(at.getMilliseconds(), 3)}`;
}

function textOf(text) {
  const code = h('code', { class: 'frame-text' });
  putText(code, text);
  return code;
}

export class FrameLog {
  #frames = []; // the newest KEPT, { row, text, direction }
  #arrived = []; // not shown yet
  #total = 0;
  #paused = false;
  #log = $('frames-log');
  #show = batch(() => this.#render());

  constructor() {
    $('frames-pause').addEventListener('click', () => this.#pause(!this.#paused));
    $('frames-clear').addEventListener('click', () => this.#clear());
    $('frames-filter').addEventListener('input', () => this.#filter());
    $('frames-direction').addEventListener('change', () => this.#filter());
    this.#count();
  }

  /** several: whether each frame says which gateway it belongs to. */
  set several(on) {
    this.#log.classList.toggle('several', on);
  }

  /** follow shows the frames of one more connection. */
  follow(gate, label) {
    gate.on('frame', ({ direction, text, message }) => {
      this.#total++;
      this.#arrived.push({ at: new Date(), direction, text, func: String(message?.func ?? '?'), label });
      if (this.#arrived.length > KEPT) this.#arrived.shift();
      this.#show();
    });
  }

  #pause(on) {
    this.#paused = on;
    $('frames-pause').setAttribute('aria-pressed', String(on));
    $('frames-pause').textContent = on ? 'Resume' : 'Pause';
    this.#show();
  }

  #clear() {
    this.#frames = [];
    this.#arrived = [];
    this.#total = 0;
    this.#log.replaceChildren();
    this.#count();
  }

  #render() {
    this.#count();
    if (this.#paused) return;
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 24;
    const fresh = this.#arrived.splice(0).map((frame) => ({ ...frame, row: this.#row(frame) }));
    this.#frames.push(...fresh);
    for (const { row } of this.#frames.splice(0, Math.max(0, this.#frames.length - KEPT))) row.remove();
    for (const frame of fresh) frame.row.hidden = !this.#passes(frame);
    this.#log.append(...fresh.filter(({ row }) => row).map(({ row }) => row));
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #row({ at, direction, text, func, label }) {
    const sent = direction === 'out';
    return h('li', { 'data-direction': direction, 'data-func': func },
      h('time', {}, clock(at)),
      h('span', { class: 'frame-gateway', title: `gateway ${label}` }, label),
      h('span', { class: 'frame-direction', title: sent ? 'sent' : 'received' }, sent ? '↑' : '↓', h('span', { class: 'sr' }, sent ? 'sent' : 'received')),
      h('span', { class: 'frame-func' }, func),
      h('span', {}, textOf(text)));
  }

  #passes({ direction, text }) {
    const wanted = $('frames-direction').value;
    const part = $('frames-filter').value.trim().toLowerCase();
    return (wanted === '' || wanted === direction) && text.toLowerCase().includes(part);
  }

  #filter() {
    for (const frame of this.#frames) frame.row.hidden = !this.#passes(frame);
    this.#log.scrollTop = this.#log.scrollHeight;
  }

  #count() {
    const held = this.#paused && this.#arrived.length > 0 ? `, ${this.#arrived.length} waiting` : '';
    $('frames-count').textContent = `${this.#total}${held}`;
  }
}
