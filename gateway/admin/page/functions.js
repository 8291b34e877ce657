/* Functions that are live in the fleet, and the connections of this gateway that serve them. */
import { ask } from './admin.js';
import { $ } from './dom.js';
import { Table } from './table.js';
import { count, micros } from './units.js';
import { Workers, of } from './workers.js';

const PAGES = 5; // of 200

async function all(path, member, signal) {
  const where = new URLSearchParams({ limit: 200 });
  let answer = await ask(`${path}?${where}`, signal);
  const rows = [...answer[member]];
  const whole = { ...answer, [member]: rows };
  for (let page = 1; answer.next && answer.workers === 1 && page < PAGES; page++) {
    where.set('after', answer.next);
    answer = await ask(`${path}?${where}`, signal);
    rows.push(...answer[member]);
  }
  return whole;
}

function add(row, { serving, in_flight, answered, timed_out, mean_us = 0, max_us = 0 }) {
  row.executors += serving ? 1 : 0;
  row.in_flight += in_flight;
  row.sum_us += mean_us * answered;
  row.answered += answered;
  row.timed_out += timed_out;
  row.max_us = Math.max(row.max_us, max_us);
}

const us = (value) => (value ? micros(value) : '–');
const mean = ({ sum_us, answered }) => (answered ? sum_us / answered : 0);

export function showFunctions() {
  const workers = new Workers();
  const columns = [
    { name: 'Function', class: 'wide', show: ({ name }) => name, value: ({ name }) => name },
    { name: 'Executors here', class: 'number', show: ({ executors, live }) => (executors ? count(executors) : live ? 'elsewhere' : 'gone'), value: ({ executors }) => executors },
    { name: 'In flight', class: 'number', show: ({ in_flight }) => count(in_flight), value: ({ in_flight }) => in_flight },
    { name: 'Answered', class: 'number', show: ({ answered }) => count(answered), value: ({ answered }) => answered },
    { name: 'Timed out', class: 'number', show: ({ timed_out }) => count(timed_out), value: ({ timed_out }) => timed_out },
    { name: 'Mean', class: 'number', show: (row) => us(mean(row)), value: mean },
    { name: 'Longest', class: 'number', show: ({ max_us }) => us(max_us), value: ({ max_us }) => max_us },
  ];
  const table = new Table('functions-rows', columns, ({ name }) => name, { filter: 'functions-filter' });
  return async (signal) => {
    const live = await all('admin/functions', 'functions', signal);
    const answers = workers.take(await all('admin/executors', 'executors', signal));
    const rows = new Map();
    const row = (name, is = false) => rows.get(name) ?? rows.set(name, { name, live: is, executors: 0, in_flight: 0, answered: 0, timed_out: 0, sum_us: 0, max_us: 0 }).get(name);
    for (const name of live.functions) row(name, true);
    for (const { executors } of answers) for (const each of executors) add(row(each.name), each);
    table.rows = [...rows.values()].sort((a, b) => b.in_flight - a.in_flight || b.executors - a.executors || a.name.localeCompare(b.name));
    const calls = answers.reduce((sum, answer) => sum + answer.calls, 0);
    $('functions-count').textContent = `${count(live.total)} live in the fleet${of(answers)}; ${count(calls)} calls of our clients in flight`;
    $('functions-empty').hidden = rows.size > 0;
  };
}
