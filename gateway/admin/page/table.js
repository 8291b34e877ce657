/* Tables that are read anew every few seconds: what is the same stays the same element, so that focus and selection do. A column with
 * a `value` can be sorted by, and what a person types into the table's filter is looked for in all of them. */
import { $, h } from './dom.js';

/** fill makes the body show `rows`. columns: { name, class?, show(row) → text or nodes }. key(row) tells rows apart. */
export function fill(body, rows, columns, key, decorate = () => {}) {
  const old = new Map([...body.children].map((element) => [element.dataset.key, element]));
  const wanted = rows.map((row) => {
    const id = String(key(row));
    const element = old.get(id) ?? h('tr', { 'data-key': id }, ...columns.map(({ name, class: kind }) => h('td', { 'data-label': name, ...(kind && { class: kind }) })));
    old.delete(id);
    columns.forEach(({ show }, i) => put(element.children[i], show(row, element)));
    decorate(element, row);
    return element;
  });
  for (const element of old.values()) element.remove();
  wanted.forEach((element, i) => {
    if (body.children[i] !== element) body.insertBefore(element, body.children[i] ?? null);
  });
}

function put(cell, content) {
  if (content instanceof Node) {
    if (cell.firstChild !== content) cell.replaceChildren(content);
  } else if (cell.textContent !== String(content)) {
    cell.textContent = content;
  }
}

const compare = (a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', { numeric: true }));

export class Table {
  #rows = [];
  #sorted = null; // { column, down }: what a person chose; else the rows come as they are given
  #all = false; // shown, also when they are many

  /** id: of the body. columns as for fill, those with value(row) can be sorted by. Of more rows than `most` the rest is shown on
   * demand. filter: id of the field that narrows it down. */
  constructor(id, columns, key, { most = 25, filter = null, decorate } = {}) {
    Object.assign(this, { columns, key, most, decorate, body: $(id) });
    this.filter = filter && $(filter);
    this.filter?.addEventListener('input', () => this.#show());
    this.more = h('button', { type: 'button', class: 'small more', hidden: true, onclick: () => this.#showAll() }, 'Show all');
    this.body.closest('.sheet').after(this.more);
    [...this.body.closest('table').tHead.rows[0].cells].forEach((cell, i) => columns[i].value && this.#makeSortable(cell, columns[i]));
  }

  set rows(rows) {
    this.#rows = rows;
    this.#show();
  }

  #makeSortable(cell, column) {
    const button = h('button', { type: 'button', class: 'sort', onclick: () => this.#sort(cell, column) }, cell.textContent);
    cell.replaceChildren(button);
  }

  /* Numbers are wanted largest first, words from A; a second click turns that round, a third gives it up. */
  #sort(cell, column) {
    const first = cell.classList.contains('number');
    const { column: last, down } = this.#sorted ?? {};
    this.#sorted = last !== column ? { column, down: first } : down === first ? { column, down: !first } : null;
    for (const each of cell.parentElement.cells) each.removeAttribute('aria-sort');
    if (this.#sorted) cell.setAttribute('aria-sort', this.#sorted.down ? 'descending' : 'ascending');
    this.#show();
  }

  #showAll() {
    this.#all = !this.#all;
    this.#show();
  }

  #passing() {
    const part = this.filter?.value.trim().toLowerCase() ?? '';
    if (!part) return this.#rows;
    return this.#rows.filter((row) => this.columns.some(({ value, show }) => String(value ? value(row) : '').toLowerCase().includes(part)));
  }

  #inOrder(rows) {
    if (!this.#sorted) return rows;
    const { column, down } = this.#sorted;
    return [...rows].sort((a, b) => (down ? -1 : 1) * compare(column.value(a), column.value(b)));
  }

  #show() {
    const rows = this.#inOrder(this.#passing());
    fill(this.body, this.#all ? rows : rows.slice(0, this.most), this.columns, this.key, this.decorate);
    this.more.hidden = rows.length <= this.most;
    this.more.textContent = this.#all ? `Show ${this.most}` : `Show all ${rows.length}`;
  }
}
