/* Every gateway on this Redis, as each says of itself. */
import { ask } from './admin.js';
import { $, h } from './dom.js';
import { Table } from './table.js';
import { bytes, count, rate, span } from './units.js';

const many = (n, what) => `${count(n)} ${what}${n === 1 ? '' : 's'}`;
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

const LOOPBACK = /^(127\.|localhost$|\[::1\]$)/;

/** pageOf: the address of a gateway's own page, null when a browser cannot reach it there. What others wrote into Redis is no
 * address until it was parsed as one. */
export function pageOf({ host = '', address = '', tls = false }) {
  const [, name, port] = /^(\*|[0-9.]+|\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+):([0-9]{1,5})$/.exec(String(address)) ?? [];
  if (!port) return null;
  const reached = name === '*' ? String(host) : name;
  const here = LOOPBACK.test(location.hostname);
  if (LOOPBACK.test(reached) && !here) return null; // its loopback is not ours
  const written = `${tls === true ? 'https' : 'http'}://${reached}:${port}/#operate`;
  return URL.canParse(written) && new URL(written).host.startsWith(reached.toLowerCase()) ? written : null;
}

function link({ record, self }, element) {
  const words = place(record);
  const href = self ? null : pageOf(record);
  const held = element.children[1].firstElementChild;
  if (held?.textContent === words && held.getAttribute('href') === href) return held;
  return href ? h('a', { href, target: '_blank', rel: 'noopener' }, words) : h('span', {}, words);
}

const number = (name) => ({ record }) => Number(record[name]) || 0;

const columns = [
  { name: 'State', show: state, value: ({ record }) => text(record.state) },
  { name: 'Gateway', class: 'wide', show: link, value: ({ record }) => place(record) },
  { name: 'Worker', class: 'number', show: ({ record }) => (record.workers > 1 ? `${record.worker + 1} of ${record.workers}` : '–'), value: number('worker') },
  { name: 'Version', show: ({ record }) => text(record.version), value: ({ record }) => text(record.version) },
  { name: 'Connections', class: 'number', show: ({ record }) => count(record.connections ?? 0), value: number('connections') },
  { name: 'Deliveries/s', class: 'number', show: ({ record }) => rate(record.sent_per_s ?? 0), value: number('sent_per_s') },
  { name: 'Queued', class: 'number', show: ({ record }) => bytes(record.queued_bytes ?? 0), value: number('queued_bytes') },
  { name: 'Up', class: 'number', show: ({ record, now_ms }) => (record.started_ms ? span(now_ms - record.started_ms) : '–'), value: ({ record, now_ms }) => now_ms - (Number(record.started_ms) || now_ms) },
  { name: 'Heard', class: 'number', show: ({ age_ms }) => (age_ms < 5000 ? 'now' : `${span(age_ms)} ago`), value: ({ age_ms }) => age_ms },
];

const order = ({ record: a, id: x }, { record: b, id: y }) => `${a.host} ${a.address} ${a.worker} ${x}`.localeCompare(`${b.host} ${b.address} ${b.worker} ${y}`);

/** showFleet returns what reads the fleet; onSums is told of what all of them do together. */
export function showFleet(onSums) {
  const table = new Table('fleet-rows', columns, ({ id }) => id, { filter: 'fleet-filter' });
  return async (signal) => {
    const { gateways, now_ms } = await ask('admin/fleet', signal);
    table.rows = gateways.map((each) => ({ ...each, now_ms })).sort(order);
    const sum = (name) => gateways.reduce((total, { record }) => total + (Number(record[name]) || 0), 0);
    $('fleet-count').textContent = `${many(gateways.length, 'gateway')}, ${many(sum('connections'), 'connection')}, ${rate(sum('sent_per_s'))} deliveries/s`;
    onSums({ t: now_ms, gateways: gateways.length, connections: sum('connections'), sent: sum('sent_per_s'), changes: sum('changes_per_s'), queued: sum('queued_bytes') });
  };
}
