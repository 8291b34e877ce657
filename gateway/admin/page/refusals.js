/* Whom this gateway turned away, newest first. */
import { ask } from './admin.js';
import { $, h } from './dom.js';
import { Table } from './table.js';
import { clock, count } from './units.js';
import { Workers, of } from './workers.js';

const SHOWN = 128;

const meanings = {
  400: 'a broken request', 401: 'no good token', 403: 'not allowed', 404: 'nothing there', 405: 'a wrong method', 426: 'not an upgrade',
  503: 'no room, or not ready', 1002: 'broke the protocol', 1007: 'malformed data', 1008: 'broke the rules', 1009: 'too large', 1013: 'did not read its answers',
};

const columns = [
  { name: 'Time', show: ({ time_ms }) => clock(time_ms), value: ({ time_ms }) => time_ms },
  { name: 'Code', show: ({ code }, element) => element.querySelector('.badge') ?? h('span', { class: 'badge', 'data-state': code >= 1000 ? 'differs' : 'error', title: meanings[code] ?? '' }, code), value: ({ code }) => code },
  { name: 'Client', show: ({ remote }) => remote, value: ({ remote }) => remote },
  { name: 'What', class: 'wide', show: ({ subject }) => subject, value: ({ subject }) => subject },
  { name: 'Why', class: 'wide', show: ({ why }) => why, value: ({ why }) => why },
  { name: 'Times', class: 'number', show: ({ times }) => count(times), value: ({ times }) => times },
];

export function showRefusals() {
  const workers = new Workers();
  const table = new Table('refusals-rows', columns, ({ worker, first_ms, code, remote, subject, why }) => [worker, first_ms, code, remote, subject, why].join(' '), { filter: 'refusals-filter' });
  return async (signal) => {
    const answers = workers.take(await ask('admin/refusals', signal));
    const refusals = answers.flatMap(({ worker, refusals: all }) => all.map((each) => ({ ...each, worker }))).sort((a, b) => b.time_ms - a.time_ms);
    table.rows = refusals.slice(0, SHOWN);
    $('refusals-count').textContent = count(answers.reduce((sum, { total }) => sum + total, 0)) + of(answers);
    $('refusals-empty').hidden = refusals.length > 0;
  };
}
