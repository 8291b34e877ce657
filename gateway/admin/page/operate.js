/* The operations half of the page: asks this gateway every second or so while somebody looks, and nothing otherwise. */
import { Denied, act, ask, token } from './admin.js';
import { Chart } from './chart.js';
import { showConnections } from './connections.js';
import { Dialog, confirmed } from './dialog.js';
import { $ } from './dom.js';
import { showFleet } from './fleet.js';
import { showFunctions } from './functions.js';
import { showNames } from './names.js';
import { showRefusals } from './refusals.js';
import { onTab } from './tabs.js';
import { Tap } from './tap.js';
import { bytes, count, micros, rate, span } from './units.js';

const SECOND_MS = 1000;
const HOUR_MS = 3600000;
const spans = { minutes: 180000, hour: HOUR_MS, fleet: HOUR_MS };

/* ---- charts ---- */

const perSecond = (name) => (row, before) => (before ? Math.max(0, ((row[name] - before[name]) * 1000) / (row.time_ms - before.time_ms)) : null);
const plain = (name) => (row) => row[name];

const charts = [
  { id: 'deliveries', title: 'Per second', series: ['deliveries', 'changes'], values: [perSecond('sent'), perSecond('changes')], format: rate, least: 10 },
  { id: 'connections', title: 'Connections', series: ['open'], values: [plain('connections')], format: count, least: 10 },
  { id: 'latency', title: 'From Redis to the socket', series: ['p50', 'p99'], values: [plain('latency_p50_us'), plain('latency_p99_us')], format: micros, least: 500 },
  { id: 'behind', title: 'Subscriptions behind', series: ['subscriptions'], values: [plain('dirty')], format: count, least: 10 },
  { id: 'queued', title: 'Queued bytes', series: ['bytes'], values: [plain('queued_bytes')], format: bytes, least: 10000 },
  { id: 'conflated', title: 'Conflated per second', series: ['updates'], values: [perSecond('conflated')], format: rate, least: 10 },
].map((about) => {
  const chart = new Chart(about);
  chart.element.id = `chart-${about.id}`;
  $('charts').append(chart.element);
  return { ...about, chart };
});

let rows = []; // of the history, as objects
let fleet = []; // what all gateways did together, while somebody looked: an hour at most
let shown = 'minutes'; // what the charts show, a key of `spans`

/* The fleet says of itself what these charts show; the others are one gateway's. */
const ofFleet = { deliveries: ({ sent, changes }) => [sent, changes], connections: ({ connections }) => [connections], queued: ({ queued }) => [queued] };

function draw() {
  const window = spans[shown];
  for (const { id, chart, values } of charts) {
    chart.element.hidden = shown === 'fleet' && !ofFleet[id];
    if (shown === 'fleet') chart.show(ofFleet[id] ? fleet.map((sums) => ({ t: sums.t, values: ofFleet[id](sums) })) : [], window);
    else chart.show(rows.slice(1).map((row, i) => ({ t: row.time_ms, values: values.map((value) => value(row, rows[i])) })).filter(({ t }) => t > rows.at(-1).time_ms - window), window);
  }
}

function takeFleet(sums) {
  fleet.push(sums);
  fleet = fleet.filter(({ t }) => t > sums.t - HOUR_MS);
  if (shown === 'fleet') draw();
}

$('charts-span').addEventListener('change', ({ target }) => {
  shown = target.value;
  rows = [];
  draw();
});

function take({ columns, rows: fresh }) {
  rows.push(...fresh.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]]))));
  const end = rows.at(-1)?.time_ms ?? 0;
  rows = rows.filter(({ time_ms }) => time_ms > end - spans[shown] - (shown === 'hour' ? 20 : 2) * SECOND_MS);
  if (fresh.length > 0) draw();
}

function describe({ state, address, version, started_ms, now_ms, worker, workers, pid }) {
  $('gateway-state').dataset.state = state;
  $('gateway-state-text').textContent = state;
  $('gateway-about').textContent = `${address} · syncgate ${version} · up ${span(now_ms - started_ms)} · process ${pid}`;
  $('drain').disabled = state === 'draining';
  $('worker-note').hidden = workers < 2;
  $('worker-note').textContent = `${workers} workers. Each question is answered by one of them, the last by number ${worker + 1}; what the tables hold is gathered from all in turn, the tap shows one.`;
}

let served = null; // the process the rows are of

async function updateStats(signal) {
  const wanted = shown;
  const answer = await ask(`admin/stats?since=${rows.at(-1)?.time_ms ?? 0}&span=${wanted === 'hour' ? 'hour' : 'minutes'}`, signal);
  if (wanted !== shown) return; // asked for something else meanwhile
  const gateway = answer.workers > 1 ? 'workers' : answer.id;
  if (served !== null && served !== gateway) rows = []; // it was started anew: its counters begin at 0
  served = gateway;
  describe(answer);
  take(answer.history);
}

/* ---- asking ---- */

const tap = new Tap(denied);
const dialog = new Dialog();
const parts = [
  { update: updateStats, every: 1 },
  { update: showConnections((connection) => tap.connection(connection), dialog), every: 2, problem: 'connections-problem' },
  { update: showNames(dialog), every: 2, problem: 'names-problem' },
  { update: showFunctions(), every: 2, problem: 'functions-problem' },
  { update: showFleet(takeFleet), every: 2, problem: 'fleet-problem' },
  { update: showRefusals(), every: 2, problem: 'refusals-problem' },
];

let looking = null; // AbortController while somebody looks and may

function problem(part, text) {
  const element = $(part.problem ?? 'operate-problem');
  if (element.textContent !== text) element.textContent = text;
}

async function run(part, signal) {
  while (!signal.aborted) {
    try {
      await part.update(signal);
      if (signal.aborted) return;
      problem(part, '');
      if (part.update === updateStats) admitted();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Denied) return denied(error);
      problem(part, error instanceof TypeError ? 'The gateway does not answer.' : error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, part.every * SECOND_MS));
  }
}

function look() {
  stop();
  looking = new AbortController();
  for (const part of parts) run(part, looking.signal);
}

function stop() {
  looking?.abort();
  looking = null;
}

/* ---- who may ---- */

function admitted() {
  $('admission').hidden = true;
  $('admitted').hidden = false;
  $('forget').hidden = token.get() === '';
}

function denied(error) {
  stop();
  tap.stop();
  dialog.close();
  $('admitted').hidden = true;
  $('admission').hidden = false;
  $('admission-problem').textContent = token.get() ? error.message : '';
  $('admission-token').focus();
}

$('admission').addEventListener('submit', (event) => {
  event.preventDefault();
  token.set($('admission-token').value.trim());
  $('admission-token').value = '';
  look();
});
$('forget').addEventListener('click', () => {
  token.set('');
  look();
});

/* ---- what an admin may do ---- */

$('drain').addEventListener('click', async () => {
  const text = 'It stops listening, sends its clients to the other gateways one after the other, and ends when the last has gone. There is no way back: somebody has to start it again.';
  if (!(await confirmed('Drain this gateway?', text, 'Drain it'))) return;
  try {
    await act('admin/drain');
  } catch (error) {
    problem(parts[0], error.message);
  }
});

/* ---- while it is seen ---- */

let open = false;
const seen = () => {
  if (open && !document.hidden) look();
  else stop();
};
document.addEventListener('visibilitychange', seen);
onTab((name) => {
  open = name === 'operate';
  if (!open) {
    tap.stop();
    dialog.close();
  }
  seen();
});
