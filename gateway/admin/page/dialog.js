/* One thing looked at closely, above the page, read anew while it is open; and questions before something is done. */
import { $, h } from './dom.js';

const EVERY_MS = 2000;

export class Dialog {
  #abort = null;
  #read = null;
  #said = new WeakMap(); // node → what it said when it was shown
  #element = $('dialog');

  constructor() {
    $('dialog-close').addEventListener('click', () => this.#element.close());
    this.#element.addEventListener('close', () => this.close());
    this.#element.addEventListener('click', ({ target }) => target === this.#element && this.#element.close()); // beside it
  }

  /** open shows what read(signal) resolves to (nodes), again and again; `foot`: nodes that stay. */
  open(title, read, ...foot) {
    this.close();
    this.#abort = new AbortController();
    this.#read = read;
    $('dialog-title').textContent = title;
    $('dialog-problem').textContent = '';
    $('dialog-body').replaceChildren();
    $('dialog-foot').replaceChildren(...foot);
    if (!this.#element.open) this.#element.showModal();
    this.#run(this.#abort.signal);
  }

  /** again reads at once. */
  again() {
    return this.#once(this.#abort.signal);
  }

  close() {
    this.#abort?.abort();
    this.#abort = null;
    if (this.#element.open) this.#element.close();
  }

  async #run(signal) {
    while (!signal.aborted) {
      await this.#once(signal);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  async #once(signal) {
    try {
      const nodes = await this.#read(signal);
      if (signal.aborted) return;
      this.#show(nodes);
      $('dialog-problem').textContent = '';
    } catch (error) {
      if (!signal.aborted) $('dialog-problem').textContent = error instanceof TypeError ? 'The gateway does not answer.' : error.message;
    }
  }

  /* What says the same as before stays, with what a person has opened, scrolled or selected in it. */
  #show(nodes) {
    const body = $('dialog-body');
    nodes.forEach((node, i) => {
      const old = body.children[i];
      if (old && this.#said.get(old) === node.outerHTML) return;
      this.#said.set(node, node.outerHTML);
      const focused = old?.contains(document.activeElement) ? [...old.querySelectorAll('button')].indexOf(document.activeElement) : -1;
      if (old) old.replaceWith(node);
      else body.append(node);
      if (focused >= 0) node.querySelectorAll('button')[focused]?.focus();
    });
    while (body.children.length > nodes.length) body.lastElementChild.remove();
  }
}

/** confirmed asks before something is done: true when the person wants it. */
export function confirmed(title, text, verb) {
  const element = $('confirm');
  $('confirm-title').textContent = title;
  $('confirm-text').textContent = text;
  $('confirm-yes').textContent = verb;
  element.returnValue = '';
  element.showModal();
  return new Promise((resolve) => element.addEventListener('close', () => resolve(element.returnValue === 'yes'), { once: true }));
}
