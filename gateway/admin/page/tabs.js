/* The two halves of the page: a tab list as the ARIA practices describe it. The address keeps which one is open. */
import { $ } from './dom.js';

const names = ['try', 'operate'];
const listeners = new Set();
let open = null;

function show(name) {
  if (open === name) return;
  open = name;
  for (const each of names) {
    const tab = $(`tab-${each}`);
    tab.setAttribute('aria-selected', String(each === name));
    tab.tabIndex = each === name ? 0 : -1;
    $(`panel-${each}`).hidden = each !== name;
  }
  for (const listener of listeners) listener(name);
}

function select(name) {
  history.replaceState(null, '', name === 'try' ? location.pathname + location.search : `#${name}`);
  show(name);
}

const named = () => (names.includes(location.hash.slice(1)) ? location.hash.slice(1) : 'try');

/** onTab calls back with the name of the open tab, now and whenever it changes. */
export function onTab(listener) {
  listeners.add(listener);
  if (open) listener(open);
}

for (const [index, name] of names.entries()) {
  $(`tab-${name}`).addEventListener('click', () => select(name));
  $(`tab-${name}`).addEventListener('keydown', ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = names[(index + step + names.length) % names.length];
    select(next);
    $(`tab-${next}`).focus();
  });
}
addEventListener('hashchange', () => show(named()));
show(named());
