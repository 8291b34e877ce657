/* Rows of a table that is read anew every few seconds: what is the same stays the same element, so that focus and selection do. */
import { h } from './dom.js';

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
