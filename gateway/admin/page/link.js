/* The state of a connection, as a pill in the head of the page; of the gateway that served the page also whether it is ready:
 * without Redis it keeps its connections, shows what it last knew, and refuses what changes something. */
import { $ } from './dom.js';

const ASK_MS = 2000;
const open = new Set();

/* The button serves whichever connection waits. */
function showRetry() {
  $('retry').hidden = ![...open].some((gate) => gate.state === 'waiting');
}

function describe(gate, host, unready) {
  if (gate.state === 'open') return unready ? `Connected to ${host}, which is not ready: ${unready}` : `Connected to ${host}`;
  return gate.state === 'connecting' ? `Connecting to ${host}` : `No connection to ${host}, trying again`;
}

function wait(gate) {
  return gate.state === 'waiting' ? ` in ${Math.max(0, Math.ceil((gate.retryAt - Date.now()) / 1000))} s` : '';
}

/** readiness asks the gateway of this page why it is not ready, now and again while somebody looks, and calls back with that; with
 * '' when it is, or cannot be asked (the socket tells then). */
export function readiness(gate, onChange) {
  let last = '';
  const ask = async () => {
    const response = await fetch('readyz', { cache: 'no-store', credentials: 'omit' });
    return response.status === 503 ? (await response.text()).trim() : '';
  };
  const look = async () => {
    const why = document.hidden || gate.state !== 'open' ? last : await ask().catch(() => '');
    if (why !== last) onChange((last = why));
    setTimeout(look, ASK_MS);
  };
  look();
}

/** showLink follows a connection and returns { end, unready }: what ends that, and what says why the gateway is not ready. */
export function showLink(element, gate, host) {
  const text = element.querySelector('.link-text');
  const countdown = element.querySelector('.link-wait'); // hidden from what is read aloud
  let why = '';
  const show = () => {
    element.dataset.state = gate.state;
    element.dataset.ready = gate.state === 'open' && why ? 'no' : 'yes';
    const words = describe(gate, host, why);
    if (text.textContent !== words) text.textContent = words;
    countdown.textContent = wait(gate);
    showRetry();
  };
  open.add(gate);
  element.hidden = false;
  const off = gate.on('state', show);
  const timer = setInterval(() => gate.state === 'waiting' && show(), 1000);
  show();
  return {
    unready(reason) {
      why = reason;
      show();
    },
    end() {
      off();
      clearInterval(timer);
      open.delete(gate);
      element.hidden = true;
      showRetry();
    },
  };
}
