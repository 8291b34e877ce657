/* The live list: a page of it, the buttons that change it, and the same page from a second gateway. */
import { $, EqualBadge, asText, batch, brief, equal, flash, h, putText } from './dom.js';
import { refused, showNotice } from './notice.js';

const NAME = 'demo:todo';
const CREATED = 24;
const LEAVING_MS = 400; // as long as the animation of style.css
const RANDOM_MS = 700;

const VERBS = ['Water', 'Paint', 'Repair', 'Photograph', 'Measure', 'Label', 'Sketch', 'Polish', 'Move', 'Count'];
const THINGS = ['the old bridge', 'three lemons', 'the blue door', 'a paper boat', 'the night train', 'seven stones', 'the weather vane', 'a small garden'];

const pick = (words) => words[Math.floor(Math.random() * words.length)];
const invent = () => `${pick(VERBS)} ${pick(THINGS)}`;
const newId = () => [...crypto.getRandomValues(new Uint8Array(4))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const keyOf = (id) => JSON.stringify(id);

/* One gateway's page as rows. With `actions` the rows have buttons. */
class Pane {
  #rows = new Map(); // key of the id -> { element, value, show }
  #marks = new Map(); // key -> how it changed since the last picture
  #leaving = new Map(); // key -> the row that is on its way out
  #reset = true;
  #show = batch(() => this.#render());
  #offs;

  constructor(list, host, actions) {
    this.list = list;
    this.actions = actions;
    this.onrender = () => {};
    this.refocus = null; // { key, action }: the button that moves with its row
    this.body = h('ol', { class: 'rows', role: 'list', 'aria-label': `Items of the page, from ${host}` });
    this.empty = h('div', { class: 'empty' });
    this.element = h('div', { class: 'pane' }, h('h3', { class: 'pane-title' }, host), this.body, this.empty);
    this.#offs = [list.on('change', (change) => this.#changed(change)), list.on('state', this.#show)];
    this.#show();
  }

  end() {
    for (const off of this.#offs) off();
    this.element.remove();
  }

  /* What leaves and comes back before it is out of sight has moved: a move is two frames, and a picture may fall between. */
  #changed({ kind, id }) {
    const key = keyOf(id);
    if (kind === 'reset') {
      this.#reset = true;
      this.#marks.clear();
    } else if (kind === 'insert') this.#marks.set(key, this.#marks.get(key) === 'gone' || this.#leaving.has(key) ? 'moved' : 'fresh');
    else if (kind === 'delete') this.#marks.set(key, 'gone');
    else if (kind === 'set' && !this.#marks.has(key)) this.#marks.set(key, 'changed');
    this.#show();
  }

  #render() {
    const { list } = this;
    this.body.classList.toggle('stale', list.state !== 'live');
    if (!list.loading || list.state !== 'live') this.#place();
    this.onrender();
  }

  #place() {
    const focused = document.activeElement;
    const keys = new Set(this.list.items.map(({ id }) => keyOf(id)));
    for (const [key, row] of this.#rows) if (!keys.has(key)) this.#remove(key, row);
    let next = this.#skipLeaving(this.body.firstElementChild);
    this.list.items.forEach((item, index) => {
      const row = this.#row(item);
      row.show(item, this.list.start + index);
      if (row.element === next) next = this.#skipLeaving(next.nextElementSibling);
      else this.body.insertBefore(row.element, next);
      const mark = this.#marks.get(keyOf(item.id));
      if (mark && mark !== 'gone') flash(row.element, mark);
    });
    this.#marks.clear();
    this.#reset = false;
    this.#focus(focused);
  }

  #skipLeaving(element) {
    while (element?.classList.contains('leaving')) element = element.nextElementSibling;
    return element;
  }

  /* A row that is moved in the document loses the focus, one that left for a moment is another element. */
  #focus(before) {
    if (before !== document.activeElement && this.body.contains(before)) before.focus();
    const button = this.refocus && this.#rows.get(this.refocus.key)?.element.querySelector(`[data-action="${this.refocus.action}"]`);
    if (!button) return;
    if (document.activeElement === document.body || document.activeElement.closest('.leaving')) button.focus();
    this.refocus = null;
  }

  #row({ id }) {
    const key = keyOf(id);
    const row = this.#rows.get(key) ?? makeRow(id, this.actions);
    this.#rows.set(key, row);
    return row;
  }

  #remove(key, { element }) {
    this.#rows.delete(key);
    if (this.#reset) {
      element.remove();
      return;
    }
    element.classList.add('leaving');
    element.inert = true;
    element.setAttribute('aria-hidden', 'true');
    this.#leaving.set(key, element);
    setTimeout(() => {
      element.remove();
      if (this.#leaving.get(key) === element) this.#leaving.delete(key);
    }, LEAVING_MS);
  }
}

function iconButton(action, sign, label, run) {
  return h('button', { type: 'button', class: 'icon', 'data-action': action, 'aria-label': label, title: label, onclick: run }, sign);
}

/* makeRow returns { element, show(item, index) }. */
function makeRow(id, actions) {
  const position = h('span', { class: 'position' });
  const text = h('span', { class: 'text' });
  const element = h('li', { class: 'row', 'data-id': asText(id) }, position, text, h('code', { class: 'id', title: 'id' }, asText(id)));
  let current = null;
  if (actions) element.append(rowActions(element, text, actions, () => current));
  return {
    element,
    show(item, index) {
      current = item;
      position.textContent = String(index);
      putText(text, asText(item.value));
    },
  };
}

function rowActions(element, text, actions, current) {
  const label = (verb) => `${verb} ${brief(asText(current()?.value ?? ''))}`;
  const buttons = h('span', { class: 'actions' },
    iconButton('change', '✎', 'Change', () => startEditing(element, text, current(), actions)),
    iconButton('up', '↑', 'Move up', () => actions.move(current(), -1)),
    iconButton('down', '↓', 'Move down', () => actions.move(current(), 1)),
    iconButton('head', '⤒', 'Move to the head', () => actions.move(current(), -Infinity)),
    iconButton('delete', '✕', 'Delete', () => actions.remove(current())));
  /* The label names the item, so that a list of buttons makes sense when it is heard. */
  buttons.addEventListener('focusin', ({ target }) => target.dataset.action && target.setAttribute('aria-label', label(target.title)));
  return buttons;
}

/* What was not a string is edited as JSON, and stays a value of its kind when it can. */
function parsedLike(old, text) {
  if (typeof old === 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function startEditing(element, text, item, actions) {
  const input = h('input', { type: 'text', 'aria-label': `New value of ${brief(asText(item.value))}`, maxlength: '200' });
  input.value = asText(item.value);
  const end = () => {
    form.remove();
    element.classList.remove('editing');
    element.querySelector('[data-action="change"]').focus();
  };
  const submit = (event) => {
    event.preventDefault();
    actions.change(item, parsedLike(item.value, input.value));
    end();
  };
  const form = h('form', { class: 'edit', onsubmit: submit, autocomplete: 'off' }, input,
    h('button', { type: 'submit', class: 'primary' }, 'Save'), h('button', { type: 'button', onclick: end }, 'Cancel'));
  form.addEventListener('keydown', ({ key }) => key === 'Escape' && end());
  if (element.classList.contains('editing')) return;
  element.classList.add('editing');
  text.after(form);
  input.select();
}

export class ListCard {
  #list;
  #pane;
  #other = null; // the second gateway's Pane
  #badge = new EqualBadge($('list-equal'));
  #announced = null;
  #moved = null; // { words, until }: what was moved here, of which two frames will tell in their own way

  constructor(gate, host) {
    this.#list = gate.list(NAME, { pageSize: Number($('page-size').value) });
    this.#pane = new Pane(this.#list, host, this.#actions());
    this.#pane.onrender = () => this.#rendered();
    $('panes').append(this.#pane.element);
    this.#list.on('error', (error) => error.during === 'write' && refused('write', NAME, error));
    this.#list.on('change', (change) => this.#changed(change));
    this.#listen();
  }

  /** compare shows the same page from another gateway beside ours; null ends it. */
  compare(gate, host) {
    this.#other?.end();
    this.#other = null;
    if (gate) {
      const { page, pageSize } = this.#list;
      this.#other = new Pane(gate.list(NAME, { page, pageSize: this.#list.state === 'live' ? pageSize : null }), host, null);
      this.#other.onrender = () => this.#compare();
      $('panes').append(this.#other.element);
    }
    this.#follow();
    this.#compare();
  }

  /* ---- what people do ---- */

  #listen() {
    $('insert').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#insert(event.submitter?.dataset.where ?? 'head');
    });
    $('list').querySelector('.pager').addEventListener('click', ({ target }) => target.dataset.go && this.#go(target.dataset.go));
    $('page-size').addEventListener('change', ({ target }) => {
      const size = Number(target.value);
      this.#list.go(Math.floor(this.#list.start / size), size);
    });
    let timer = null;
    $('random').addEventListener('change', ({ target }) => {
      clearInterval(timer);
      if (target.checked) timer = setInterval(() => this.#randomChange(), RANDOM_MS);
    });
  }

  #wrote(sent) {
    showNotice(sent ? null : 'There is no connection to the gateway, so nothing was changed.');
  }

  #insert(where) {
    const { total } = this.#list;
    const wanted = { head: 0, end: total, index: Number($('insert-index').value) }[where];
    const index = Math.min(Math.max(0, Math.floor(wanted) || 0), total);
    this.#wrote(this.#list.insert(index, newId(), $('insert-value').value || invent()));
    $('insert-value').value = '';
  }

  #actions() {
    return {
      change: (item, value) => this.#wrote(this.#list.set(item.id, value)),
      remove: (item) => {
        this.#focusNeighbour(item, 'delete');
        this.#wrote(this.#list.delete(item.id));
      },
      move: (item, by) => this.#move(item, by),
    };
  }

  #move(item, by) {
    const from = this.#list.start + this.#list.indexOf(item.id);
    const to = Math.min(Math.max(0, from + by), this.#list.total - 1);
    if (to === from || this.#list.indexOf(item.id) < 0) return;
    this.#pane.refocus = { key: keyOf(item.id), action: document.activeElement?.dataset.action };
    this.#moved = { words: `Moved ${brief(asText(item.value))} to index ${to}`, until: performance.now() + 3000 };
    this.#wrote(this.#list.move(item.id, to));
  }

  #focusNeighbour(item, action) {
    const at = this.#list.indexOf(item.id);
    const neighbour = this.#list.items[at + 1] ?? this.#list.items[at - 1];
    if (neighbour) this.#pane.refocus = { key: keyOf(neighbour.id), action };
  }

  #go(where) {
    const { page, pages } = this.#list;
    this.#list.go({ first: 0, previous: page - 1, next: page + 1, last: pages - 1 }[where]);
  }

  #create() {
    const items = Array.from({ length: CREATED }, () => ({ id: newId(), value: invent() }));
    this.#wrote(this.#list.setAll(items));
  }

  #randomChange() {
    const list = this.#list;
    if (list.state !== 'live' || list.loading) return;
    const item = pick(list.items);
    const dice = Math.random();
    if (!item || (dice < 0.4 && list.total < 60)) list.insert(Math.floor(Math.random() * (list.total + 1)), newId(), invent());
    else if (dice < 0.6) list.set(item.id, invent());
    else if (dice < 0.8) list.move(item.id, Math.floor(Math.random() * list.total));
    else list.delete(item.id);
  }

  /* ---- what is shown ---- */

  #changed({ kind, id, index }) {
    if (kind === 'reset') this.#follow();
    const words = {
      insert: () => `Inserted ${brief(asText(this.#list.items[index]?.value ?? ''))} at index ${this.#list.start + index}`,
      delete: () => `Item ${asText(id)} left the page`,
      set: () => `Item ${asText(id)} changed to ${brief(asText(this.#list.items[index]?.value ?? ''))}`,
    }[kind];
    const moved = kind !== 'set' && this.#moved?.until > performance.now() ? this.#moved.words : null;
    if (words) this.#announce(moved ?? words());
  }

  /* A burst is announced by its last change, a second later. */
  #announce(words) {
    clearTimeout(this.#announced);
    this.#announced = setTimeout(() => ($('announcer').textContent = words), 1000);
  }

  /* The second gateway shows the page that we show. */
  #follow() {
    const other = this.#other?.list;
    const { page, pageSize, state } = this.#list;
    if (other && state === 'live' && (other.page !== page || other.pageSize !== pageSize || other.state !== 'live')) other.go(page, pageSize);
  }

  #rendered() {
    const { state, page, pages, total, loading } = this.#list;
    const live = state === 'live';
    $('list-total').textContent = live ? (total === 1 ? '1 item' : `${total} items`) : '';
    $('page-text').textContent = live ? `Page ${page + 1} of ${pages}` : '–';
    for (const button of $('list').querySelectorAll('[data-go]')) {
      const back = button.dataset.go === 'first' || button.dataset.go === 'previous';
      button.disabled = !live || loading || (back ? page === 0 : page >= pages - 1);
    }
    $('insert-index').max = String(total);
    this.#showEmpty();
    this.#compare();
  }

  #showEmpty() {
    const { state, total, error, items } = this.#list;
    const words = {
      unknown: 'This list is not there yet. Inserting an item creates it.',
      failed: `The gateway answered error ${error?.code}: ${error?.message}`,
      live: total === 0 ? 'The list is empty.' : '',
      pending: items.length === 0 ? 'Waiting for the gateway.' : '',
    }[state];
    const offer = state === 'unknown' || (state === 'live' && total === 0);
    if (this.#pane.empty.dataset.words === words) return;
    this.#pane.empty.dataset.words = words;
    this.#pane.empty.replaceChildren(...(words ? [h('p', {}, words)] : []));
    if (offer) this.#pane.empty.append(h('button', { type: 'button', class: 'primary', onclick: () => this.#create() }, `Create ${CREATED} items`));
  }

  #compare() {
    const a = this.#list;
    const b = this.#other?.list;
    const both = b && a.state === 'live' && b.state === 'live';
    this.#badge.show(b ? Boolean(both && a.page === b.page && a.total === b.total && equal(a.items, b.items)) : null);
  }
}
