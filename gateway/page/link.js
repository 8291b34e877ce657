/* The state of a connection, as a pill in the head of the page. */
import { $ } from './dom.js';

const open = new Set();

/* The button serves whichever connection waits. */
function showRetry() {
  $('retry').hidden = ![...open].some((gate) => gate.state === 'waiting');
}

function describe(gate, host) {
  if (gate.state === 'open') return `Connected to ${host}`;
  return gate.state === 'connecting' ? `Connecting to ${host}` : `No connection to ${host}, trying again`;
}

function wait(gate) {
  return gate.state === 'waiting' ? ` in ${Math.max(0, Math.ceil((gate.retryAt - Date.now()) / 1000))} s` : '';
}

/** showLink follows a connection and returns what ends that. */
export function showLink(element, gate, host) {
  const text = element.querySelector('.link-text');
  const countdown = element.querySelector('.link-wait'); // hidden from what is read aloud
  const show = () => {
    element.dataset.state = gate.state;
    const words = describe(gate, host);
    if (text.textContent !== words) text.textContent = words;
    countdown.textContent = wait(gate);
    showRetry();
  };
  open.add(gate);
  element.hidden = false;
  const off = gate.on('state', show);
  const timer = setInterval(() => gate.state === 'waiting' && show(), 1000);
  show();
  return () => {
    off();
    clearInterval(timer);
    open.delete(gate);
    element.hidden = true;
    showRetry();
  };
}
