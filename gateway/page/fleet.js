/* Every gateway on this Redis, as each says of itself. */
import { ask } from './admin.js';
import { $, h } from './dom.js';
import { fill } from './table.js';
import { bytes, count, rate, span } from './units.js';

const text = (value) => (value === undefined ? '–' : String(value));

function state({ record, self }, element) {
  const words = `${text(record.state)}${self ? ' · this one' : ''}`;
  const made = h('span', { class: 'state', 'data-state': text(record.state) }, h('span', { class: 'dot' }), words);
  const held = element.firstElementChild?.firstElementChild;
  return held?.textContent === words ? held : made;
}

/* Where clients reach it: the machine's name when it listens on every interface. */
function place({ host, address = '' }) {
  return address.startsWith('*:') ? `${text(host)}${address.slice(1)}` : `${address}${host ? ` (${host})` : ''}`;
}

const columns = [
  { name: 'State', show: state },
  { name: 'Gateway', class: 'wide', show: ({ record }) => place(record) },
  { name: 'Worker', class: 'number', show: ({ record }) => (record.workers > 1 ? `${record.worker + 1} of ${record.workers}` : '–') },
  { name: 'Version', show: ({ record }) => text(record.version) },
  { name: 'Connections', class: 'number', show: ({ record }) => count(record.connections ?? 0) },
  { name: 'Deliveries/s', class: 'number', show: ({ record }) => rate(record.sent_per_s ?? 0) },
  { name: 'Queued', class: 'number', show: ({ record }) => bytes(record.queued_bytes ?? 0) },
  { name: 'Up', class: 'number', show: ({ record, now_ms }) => (record.started_ms ? span(now_ms - record.started_ms) : '–') },
  { name: 'Heard', class: 'number', show: ({ age_ms }) => (age_ms < 5000 ? 'now' : `${span(age_ms)} ago`) },
];

const order = ({ record: a, id: x }, { record: b, id: y }) => `${a.host} ${a.address} ${a.worker} ${x}`.localeCompare(`${b.host} ${b.address} ${b.worker} ${y}`);

export function showFleet() {
  return async (signal) => {
    const { gateways, now_ms } = await ask('admin/fleet', signal);
    fill($('fleet-rows'), gateways.map((each) => ({ ...each, now_ms })).sort(order), columns, ({ id }) => id);
    const sum = (name) => gateways.reduce((total, { record }) => total + (Number(record[name]) || 0), 0);
    $('fleet-count').textContent = `${count(gateways.length)} with ${count(sum('connections'))} connections, ${rate(sum('sent_per_s'))} deliveries/s`;
  };
}
