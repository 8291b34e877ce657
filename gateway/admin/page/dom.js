/* The few words the parts of the page share for building and changing the document. Whatever comes from a gateway goes in as
 * text, never as markup. */

/** $ finds an element by its id. */
export const $ = (id) => document.getElementById(id);

/** h makes an element: h('button', { type: 'button', onclick: run }, 'Text', child). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function' || typeof value === 'boolean') element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** asText shows any JSON value: a string as it is, the rest as JSON. */
export function asText(value) {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const LONG = 300; // characters; what is longer is shown whole on demand
const whole = new WeakMap(); // element -> the text that it stands for

/** brief cuts a text for where there is no room for all of it, not in the middle of a character. */
export function brief(text, most = 80) {
  return text.length <= most ? text : `${text.slice(0, most).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** putText shows a text of any length in an element: the beginning of a long one, with a button for the rest. */
export function putText(element, text, most = LONG) {
  if (whole.get(element) === text) return;
  whole.set(element, text);
  if (text.length <= most) {
    element.textContent = text;
    return;
  }
  const more = h('button', { type: 'button', class: 'small' }, `all ${text.length.toLocaleString('en')} characters`);
  more.onclick = () => element.replaceChildren(text);
  element.replaceChildren(brief(text, most), ' ', more);
}

/** equal compares two JSON values. */
export function equal(a, b) {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}

/** flash shows for a moment that an element changed; `kind` is a class of style.css with an animation. */
export function flash(element, kind) {
  element.classList.remove('fresh', 'changed', 'moved');
  void element.offsetWidth; // starts the animation anew
  element.classList.add(kind);
}

/** batch returns a function that makes `run` run once before the next picture, however often it is called. */
export function batch(run) {
  let waiting = false;
  const now = () => {
    waiting = false;
    run();
  };
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(now);
  };
}

/** EqualBadge says whether two gateways hold the same. A difference shows only when it lasts: a change needs a moment. */
export class EqualBadge {
  #timer = null;

  constructor(element) {
    this.element = element;
  }

  /** show takes true, false, or null when there is nothing to compare. */
  show(same) {
    this.element.hidden = same === null;
    clearTimeout(this.#timer);
    if (same === false && this.element.dataset.state === 'equal') this.#timer = setTimeout(() => this.#enter('differs'), 300);
    else if (same !== null) this.#enter(same ? 'equal' : 'differs');
    else delete this.element.dataset.state;
  }

  #enter(state) {
    if (this.element.dataset.state === state) return;
    this.element.dataset.state = state;
    this.element.textContent = state;
  }
}
