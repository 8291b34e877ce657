/* The connections of this gateway, worst first, each with what ails it. */
import { ask } from './admin.js';
import { $, h } from './dom.js';
import { openConnection } from './connection.js';
import { Table } from './table.js';
import { bytes, count, micros, span } from './units.js';
import { Workers, of } from './workers.js';

const LIMIT = 25;
const workers = new Workers();

let after = 0; // the page by id that is shown
let next = null;

const waiting = ({ queued_bytes, unsent_bytes = 0, congested }) => (congested || queued_bytes ? bytes(queued_bytes + unsent_bytes) : '–');

function whyOf({ why, trouble }) {
  if (why.length === 0) return h('span', { class: 'quiet' }, trouble === 0 ? 'well' : 'busy');
  return h('ul', { class: 'why' }, ...why.map((text) => h('li', {}, text)));
}

/* A list that says the same stays. */
function sameOr(cell, made) {
  return cell.firstElementChild?.textContent === made.textContent ? cell.firstElementChild : made;
}

export function showConnections(onTap, dialog) {
  const small = (label, verb, onclick) => h('button', { type: 'button', class: 'small', 'aria-label': label, onclick }, verb);
  const buttons = (row, element) =>
    element.querySelector('.row-buttons') ?? h('span', { class: 'row-buttons' }, small(`Look at connection ${row.id}`, 'Look', () => openConnection(dialog, row, () => onTap(row))), small(`Tap connection ${row.id}`, 'Tap', () => onTap(row)));
  const columns = [
    { name: 'Id', class: 'number', show: ({ id, worker, workers }) => (workers > 1 ? `${worker + 1}·${id}` : id), value: ({ id }) => id },
    { name: 'Client', show: ({ remote }) => remote, value: ({ remote }) => remote },
    { name: 'Token', show: ({ token }) => token, value: ({ token }) => token },
    { name: 'Age', class: 'number', show: ({ age_ms }) => span(age_ms), value: ({ age_ms }) => age_ms },
    { name: 'Subscriptions', class: 'number', show: ({ subscriptions }) => count(subscriptions), value: ({ subscriptions }) => subscriptions },
    { name: 'Sent', class: 'number', show: ({ sent, sent_bytes }) => `${count(sent)} · ${bytes(sent_bytes)}`, value: ({ sent_bytes }) => sent_bytes },
    { name: 'Round trip', class: 'number', show: ({ rtt_us }) => (rtt_us ? micros(rtt_us) : '–'), value: ({ rtt_us = 0 }) => rtt_us },
    { name: 'Waiting', class: 'number', show: waiting, value: ({ queued_bytes, unsent_bytes = 0 }) => queued_bytes + unsent_bytes },
    { name: 'Why it is slow', class: 'wide', show: (row, element) => sameOr(element.lastElementChild.previousElementSibling, whyOf(row)), value: ({ why, trouble }) => (why.length ? why.join(' ') : trouble ? 'busy' : 'well') },
    { name: '', show: buttons },
  ];
  const table = new Table('connections-rows', columns, ({ worker, id }) => `${worker}·${id}`, {
    most: LIMIT,
    filter: 'connections-filter',
    decorate(element, { congested, trouble }) {
      element.dataset.state = congested ? 'slow' : trouble > 0 ? 'busy' : 'well';
    },
  });
  const show = (rows, total, note) => {
    table.rows = rows;
    $('connections-count').textContent = (rows.length < total ? `${count(rows.length)} of ${count(total)}` : count(total)) + note;
    $('connections-empty').hidden = rows.length > 0;
  };
  const rowsOf = ({ worker, workers, connections }) => connections.map((connection) => ({ ...connection, worker, workers }));
  const worst = (answer) => {
    const answers = workers.take(answer);
    const rows = answers.flatMap(rowsOf).sort((a, b) => b.trouble - a.trouble || a.worker - b.worker || a.id - b.id);
    show(rows.slice(0, LIMIT), answers.reduce((sum, { total }) => sum + total, 0), of(answers));
  };
  const update = async (signal) => {
    const byTrouble = $('connections-order').value === 'trouble';
    const answer = await ask(`admin/connections?limit=${LIMIT}&${byTrouble ? 'order=trouble' : `after=${after}`}`, signal);
    next = answer.next ?? null;
    if (byTrouble) worst(answer);
    else show(rowsOf(answer), answer.total, '');
    $('connections-order').disabled = answer.workers > 1; // pages of several at once are none
    $('connections-next').hidden = byTrouble || next === null;
    $('connections-first').hidden = byTrouble || after === 0;
  };
  const turn = (to) => () => {
    after = to();
    return update().catch(() => {});
  };
  $('connections-order').addEventListener('change', turn(() => 0));
  $('connections-next').addEventListener('click', turn(() => next ?? 0));
  $('connections-first').addEventListener('click', turn(() => 0));
  return update;
}
