/* One connection, with all it follows and serves, and the way to end it. */
import { act, askWorker } from './admin.js';
import { h } from './dom.js';
import { bytes, count, micros, span } from './units.js';

const PAGE = 25;

const fact = (term, ...text) => [h('dt', {}, term), h('dd', {}, ...text)];

function followed({ kind, name, item, window, told, interval_ms, pending, behind, rev }) {
  const what = [kind, item === undefined ? '' : ` item ${item}`].join('');
  const words = [];
  if (window) words.push(`page ${window.page + 1}, with ${window.page_size} on a page`);
  if (told) words.push(`told ${told.items} of ${told.total} items${told.rev < rev ? `, ${rev - told.rev} revisions ago` : ''}`);
  if (interval_ms) words.push(`at most every ${interval_ms} ms`);
  if (pending) words.push('not answered yet');
  return h('tr', { 'data-state': behind ? 'slow' : 'well' },
    h('td', { 'data-label': 'Kind' }, what), h('td', { 'data-label': 'Name', class: 'wide' }, name),
    h('td', { 'data-label': 'State' }, behind ? 'behind' : pending ? 'waits' : 'told'), h('td', { 'data-label': 'How', class: 'wide' }, words.join(', ')));
}

function table(label, names, rows) {
  return h('div', { class: 'sheet', role: 'group', 'aria-label': label, tabindex: '0' },
    h('table', {}, h('thead', {}, h('tr', {}, ...names.map((name) => h('th', { scope: 'col' }, name)))), h('tbody', {}, ...rows)));
}

function served({ name, serving, in_flight, answered, mean_us }) {
  return h('li', {}, h('code', {}, name), ` ${serving ? '' : 'ended, '}${count(in_flight)} in flight, ${count(answered)} answered${mean_us ? ` in ${micros(mean_us)} on average` : ''}`);
}

function pageOf(answer, at, turn) {
  const { connection: [c], subscriptions, functions, calls, next } = answer;
  const to = (label, where, on) => h('button', { type: 'button', class: 'small', disabled: !on, onclick: () => turn(where) }, label);
  return [
    h('dl', { class: 'facts' },
      ...fact('Client', `${c.remote}, ${c.token}, connected for ${span(c.age_ms)}${c.deflate ? ', compressed' : ''}`),
      ...fact('Sent', `${count(c.sent)} messages, ${bytes(c.sent_bytes)}`),
      ...fact('Received', `${count(c.received)} messages, ${bytes(c.received_bytes)}`),
      ...fact('Waiting', `${bytes(c.queued_bytes)} here, ${bytes(c.unsent_bytes ?? 0)} in the kernel, ${count(c.waiting)} requests, ${count(c.writes)} writes`),
      ...(c.rtt_us ? fact('Network', `${micros(c.rtt_us)} round trip, ${count(c.retransmits)} retransmits`) : []),
      ...fact('Why it is slow', c.why.length ? h('ul', { class: 'why' }, ...c.why.map((text) => h('li', {}, text))) : 'It is not.')),
    h('h3', {}, `Subscriptions (${count(c.subscriptions)})`),
    ...(subscriptions.length ? [table('Subscriptions', ['Kind', 'Name', 'State', 'How'], subscriptions.map(followed))] : []),
    ...(at > 0 || next ? [h('div', { class: 'buttons' }, to(`Previous ${PAGE}`, Math.max(0, at - PAGE), at > 0), to(`Next ${PAGE}`, next, next !== undefined))] : []),
    ...(functions.length ? [h('h3', {}, `Functions (${count(functions.length)})`), h('ul', { class: 'plain' }, ...functions.slice(0, PAGE).map(served))] : []),
    ...(calls.length ? [h('h3', {}, `Calls that it waits for (${count(c.calls)})`), h('ul', { class: 'plain' }, ...calls.slice(0, PAGE).map(({ name, age_ms }) => h('li', {}, h('code', {}, name), ` for ${span(age_ms)}`)))] : []),
  ];
}

/* Two steps: the field with the reason, then the button; so no further question is asked. */
function ending(where, dialog) {
  const reason = h('input', { type: 'text', id: 'close-reason', maxlength: '100', placeholder: 'A reason, which the client is told', 'aria-label': 'Reason' });
  const problem = h('p', { class: 'problem', role: 'alert' });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await act(`admin/connection/close?${where}`, reason.value.trim());
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  return h('form', { class: 'inline', autocomplete: 'off', onsubmit: submit }, reason, h('button', { type: 'submit', class: 'danger' }, 'Disconnect'), problem);
}

export function openConnection(dialog, { id, worker, workers }, onTap) {
  const where = new URLSearchParams({ id, worker });
  let at = 0;
  const turn = (to) => {
    at = to;
    dialog.again();
  };
  const read = async (signal) => pageOf(await askWorker(`admin/connection?${where}&limit=${PAGE}&after=${at}`, signal), at, turn);
  const tap = h('button', { type: 'button', onclick: () => {
    dialog.close();
    onTap();
  } }, 'Tap');
  dialog.open(`Connection ${workers > 1 ? `${worker + 1}·` : ''}${id}`, read, tap, ending(where, dialog));
}
