/* The names that this gateway holds, and one of them with what Redis has of it. */
import { ask } from './admin.js';
import { $, h, putText } from './dom.js';
import { Table } from './table.js';
import { bytes, count, span } from './units.js';
import { Workers, of } from './workers.js';

const SHOWN = 50;
const SLICES = 10; // of 20 000 names each, looked through for one picture

const globOf = (text) => (text === '' || /[*?]/.test(text) ? text : `*${text}*`);
const sizeOf = ({ kind, size }) => (kind === 'list' ? `${count(size)} items` : bytes(size));
const ago = ({ changed_ago_ms: ms }) => (ms === undefined ? '–' : ms < 1000 ? 'now' : `${span(ms)} ago`);
const keyOf = ({ kind, name }) => `${kind} ${name}`;

/* What all workers hold of a name together. */
function merged(rows) {
  const all = new Map();
  for (const row of rows) {
    const held = all.get(keyOf(row));
    if (!held) all.set(keyOf(row), { ...row });
    else {
      held.subscribers += row.subscribers;
      held.rev = Math.max(held.rev, row.rev);
      held.changed_ago_ms = Math.min(held.changed_ago_ms ?? Infinity, row.changed_ago_ms ?? Infinity);
    }
  }
  return [...all.values()];
}

const orders = {
  subscribers: (a, b) => b.subscribers - a.subscribers,
  changed: (a, b) => (a.changed_ago_ms ?? Infinity) - (b.changed_ago_ms ?? Infinity),
  size: (a, b) => b.size - a.size,
};

export function showNames(dialog) {
  const workers = new Workers();
  const lookButton = (row, element) => element.querySelector('button') ?? h('button', { type: 'button', class: 'small', 'aria-label': `Look at ${row.kind} ${row.name}`, onclick: () => openName(dialog, row) }, 'Look');
  const columns = [
    { name: 'Kind', show: ({ kind }) => kind, value: ({ kind }) => kind },
    { name: 'Name', class: 'wide', show: ({ name }) => name, value: ({ name }) => name },
    { name: 'State', show: ({ state, exists }) => (state !== 'ready' ? state : exists ? 'ready' : 'not there'), value: ({ state }) => state },
    { name: 'Subscribers here', class: 'number', show: ({ subscribers }) => count(subscribers), value: ({ subscribers }) => subscribers },
    { name: 'Size', class: 'number', show: sizeOf, value: ({ size }) => size },
    { name: 'Revision', class: 'number', show: ({ rev }) => rev.toLocaleString('en'), value: ({ rev }) => rev },
    { name: 'Changed', class: 'number', show: ago, value: ({ changed_ago_ms }) => -(changed_ago_ms ?? 1e15) },
    { name: '', show: lookButton },
  ];
  const table = new Table('names-rows', columns, keyOf, { most: SHOWN });

  /* All slices of one process; of several workers the first slice of each, in turn. */
  const gather = async (signal, match, order) => {
    const where = new URLSearchParams({ limit: SHOWN, match: globOf(match), order });
    let answer = await ask(`admin/names?${where}`, signal);
    if (answer.workers > 1) {
      const answers = workers.take(answer);
      return { rows: merged(answers.flatMap(({ names }) => names)), total: answers.reduce((sum, { total }) => sum + total, 0), note: of(answers) };
    }
    const { total } = answer;
    let rows = answer.names;
    for (let slice = 1; answer.next && slice < SLICES; slice++) {
      where.set('after', answer.next);
      answer = await ask(`admin/names?${where}`, signal);
      rows = rows.concat(answer.names);
    }
    return { rows: merged(rows), total, note: answer.next ? `, the first ${count(SLICES * 20000)} looked at` : '' };
  };
  const update = async (signal) => {
    const match = $('names-match').value.trim();
    const order = $('names-order').value;
    const { rows, total, note } = await gather(signal, match, order);
    if (match !== $('names-match').value.trim() || order !== $('names-order').value) return; // asked for something else meanwhile
    table.rows = rows.sort(orders[order]).slice(0, SHOWN);
    $('names-count').textContent = (match ? `${count(rows.length)} found of ${count(total)}` : count(total)) + note;
    $('names-empty').hidden = rows.length > 0;
    $('names-empty').textContent = match ? 'No name that is held here fits.' : 'Nobody is subscribed to anything here.';
  };
  const anew = () => update().catch(() => {});
  $('names-match').addEventListener('input', anew);
  $('names-order').addEventListener('change', anew);
  /* Also a name that is not held here can be looked at. */
  $('names-form').addEventListener('submit', (event) => event.preventDefault());
  return update;
}

/* ---- one name ---- */

const fact = (term, text) => [h('dt', {}, term), h('dd', {}, text)];

/* Whoever did not answer is away, or busy: then there may be more. */
function inFleet(fleet) {
  if (!fleet) return 'Redis did not let the other gateways be asked';
  const { subscribers, gateways, asked, answered } = fleet;
  const where = subscribers ? `, at ${count(gateways)} gateway${gateways === 1 ? '' : 's'}` : '';
  const silent = answered < asked ? `; ${count(asked - answered)} of ${count(asked)} gateways did not answer` : '';
  return (subscribers ? count(subscribers) : 'none') + where + silent;
}

function valueOf(text) {
  const element = h('pre', { class: 'value-text' });
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // cut, so as it is
  }
  putText(element, shown, 2000);
  return element;
}

function itemsOf({ items = [], size }, first, turn) {
  const rows = items.map(({ index, id, value, cut }) => {
    const text = h('code', { class: 'frame-text' });
    putText(text, value + (cut ? ' …' : ''), 200);
    return h('li', {}, h('span', { class: 'position' }, String(index)), h('code', {}, id), text);
  });
  const to = (label, at, on) => h('button', { type: 'button', class: 'small', disabled: !on, onclick: () => turn(at) }, label);
  return [h('ol', { class: 'items', role: 'list' }, ...rows),
    h('div', { class: 'buttons' }, to('Previous 20', Math.max(0, first - 20), first > 0), to('Next 20', first + 20, first + 20 < size))];
}

function openName(dialog, { kind, name }) {
  let first = 0;
  const read = async (signal) => {
    const answer = await ask(`admin/name?${new URLSearchParams({ kind, name, first })}`, signal);
    const { here, redis, fleet } = answer;
    const turn = (to) => {
      first = to;
      dialog.again();
    };
    return [
      h('dl', { class: 'facts' },
        ...fact('In Redis', redis.exists ? `revision ${redis.rev.toLocaleString('en')}, ${sizeOf({ kind, size: redis.size })}` : 'not there'),
        ...fact('Subscribers here', here ? `${count(here.subscribers)}, revision ${here.rev.toLocaleString('en')} held` : 'none'),
        ...fact('Subscribers in the fleet', inFleet(fleet)),
        ...(here ? fact('Last change', ago(here)) : [])),
      ...(redis.exists ? (kind === 'list' ? itemsOf(redis, first, turn) : [valueOf(redis.value + (redis.cut ? '…' : ''))]) : []),
    ];
  };
  dialog.open(`${kind === 'list' ? 'List' : 'Variable'} ${name}`, read);
}
