/* The page that shows a gateway at work: connects to the one that served it, to a second one on demand, and hands both to the
 * parts of the page. */
import { connect } from './syncgate.js';
import { $ } from './dom.js';
import { showCalls } from './calls.js';
import { FrameLog } from './frames.js';
import { ListCard } from './list.js';
import { readiness, showLink } from './link.js';
import { showNotice } from './notice.js';
import { completeShell } from './shell.js';
import { VariableCard } from './variables.js';

const ENDPOINT = '/ws/socksync/';

/* ours: the endpoint of the gateway that served this page, with the token the page was opened with. */
function ours() {
  const url = new URL(ENDPOINT, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const token = new URLSearchParams(location.search).get('token');
  if (token !== null) url.searchParams.set('token', token);
  return url;
}

/* theirs reads what a person types: host:port, or any URL. Null when it is none. A token is passed on only when it is written there. */
function theirs(text) {
  const typed = /^[a-z]+:\/\//i.test(text) ? text : `${location.protocol}//${text}`;
  if (!URL.canParse(typed)) return null;
  const url = new URL(typed);
  const scheme = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' }[url.protocol];
  if (!scheme || !url.host) return null;
  const path = url.pathname === '/' ? ENDPOINT : url.pathname;
  return new URL(`${scheme}//${url.host}${path}${url.search}`);
}

function tabName() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const first = pick(['amber', 'brisk', 'calm', 'clever', 'gentle', 'lucky', 'merry', 'quiet', 'silver', 'swift', 'vivid', 'warm']);
  return `${first} ${pick(['badger', 'falcon', 'finch', 'fox', 'hare', 'heron', 'lynx', 'marten', 'otter', 'owl', 'raven', 'wren'])}`;
}

const gate = connect(ours().href);
globalThis.gate = gate; // for the console
const tab = tabName();
$('tab-name').textContent = tab;
$('new-tab').href = location.href;
document.title = `syncgate · ${location.host}`;

const log = new FrameLog();
log.follow(gate, '1');
const link = showLink($('link-1'), gate, location.host);
readiness(gate, (why) => link.unready(why));
const list = new ListCard(gate, location.host);
const variables = new VariableCard(gate);
showCalls(gate, tab);
completeShell().catch(() => {}); // the page of who may not ask says it in general

$('retry').addEventListener('click', () => {
  gate.retry();
  second?.gate.retry();
});
$('notice-close').addEventListener('click', () => showNotice(null));

/* ---- the second gateway ---- */

let second = null;

function stopComparing() {
  second.gate.close();
  second.link.end();
  second = null;
  list.compare(null);
  variables.compare(null);
  log.several = false;
  setComparing(false);
}

function setComparing(on) {
  document.body.classList.toggle('comparing', on);
  $('second-close').hidden = !on;
  $('second-connect').hidden = on;
  $('second-url').readOnly = on;
}

function startComparing(url) {
  const other = connect(url.href);
  second = { gate: other, link: showLink($('link-2'), other, url.host) };
  log.follow(other, '2');
  log.several = true;
  list.compare(other, url.host);
  variables.compare(other);
  setComparing(true);
}

$('second').addEventListener('submit', (event) => {
  event.preventDefault();
  const url = theirs($('second-url').value.trim());
  $('second-problem').textContent = url ? '' : 'That is not an address of a gateway.';
  if (url && !second) startComparing(url);
});
$('second-close').addEventListener('click', () => {
  stopComparing();
  $('second-url').focus();
});
