/* A function that any tab can serve and any tab can call. */
import { CODE, SyncgateError } from './syncgate.js';
import { $, asText, brief, flash, h, putText } from './dom.js';
import { refused } from './notice.js';

const NAME = 'demo.greet';
const SHOWN = 8;

const meanings = {
  [CODE.NAME]: 'nobody serves it, or this page may not call it. Switch on “Serve” here or in another tab.',
  [CODE.ARGUMENTS]: 'the executor did not like the argument.',
  [CODE.OTHER]: 'the executor failed, or there was no answer in time.',
};

function greet(tab, { name, how }) {
  if (how === 'argument' || typeof name !== 'string' || name === '') throw new SyncgateError(CODE.ARGUMENTS, 'a name is needed');
  if (how === 'fail') throw new Error('this one always fails');
  const answer = { greeting: `Hello, ${name}!`, from: tab };
  return how === 'slow' ? new Promise((resolve) => setTimeout(resolve, 2000, answer)) : answer;
}

function showAnswer(name, content) {
  const row = h('li', {}, h('span', { class: 'asked' }, name), ...content);
  $('answers').prepend(row);
  flash(row, 'fresh');
  while ($('answers').children.length > SHOWN) $('answers').lastElementChild.remove();
}

function showValue(name, value, took_ms) {
  const answer = h('span', { class: 'answer' });
  putText(answer, asText(value?.greeting ?? value));
  const from = value?.from === undefined ? [] : [' answered by ', h('strong', {}, brief(asText(value.from)))];
  showAnswer(name, [answer, h('span', { class: 'quiet' }, ...from, ` in ${took_ms} ms`)]);
}

function showError(name, error) {
  showAnswer(name, [
    h('span', { class: 'answer' }, h('span', { class: 'badge', 'data-state': 'error' }, `error ${error.code ?? CODE.OTHER}`), ` ${error.message}`),
    h('span', { class: 'quiet' }, meanings[error.code] ?? ''),
  ]);
}

async function call(gate, name, how) {
  const started = performance.now();
  try {
    const value = await gate.call(NAME, how ? { name, how } : { name });
    showValue(name, value, Math.round(performance.now() - started));
  } catch (error) {
    showError(name, error);
  }
}

function showServing(gate, tab) {
  let served = null;
  let answered = 0;
  const tell = (last) => {
    const times = answered === 1 ? 'one call' : `${answered} calls`;
    $('served').textContent = served ? `This tab (${tab}) answered ${times}${last ? `, the last for ${last}` : ''}.` : '';
  };
  const handler = (args) => {
    answered++;
    tell(asText(args.name ?? 'nobody'));
    return greet(tab, args);
  };
  const stop = () => {
    served?.stop();
    served = null;
    answered = 0;
    $('serve').checked = false;
    tell();
  };
  $('serve').addEventListener('change', (event) => {
    if (event.target.checked) {
      served = gate.serve(NAME, handler);
      served.on('error', (error) => {
        refused('serve', NAME, error);
        stop();
      });
      tell();
    } else stop();
  });
}

export function showCalls(gate, tab) {
  const showCallable = () => ($('callable').textContent = gate.functions.has(NAME) ? 'served now' : 'served by nobody');
  gate.on('functions', showCallable);
  showCallable();
  showServing(gate, tab);
  $('call').addEventListener('submit', (event) => {
    event.preventDefault();
    call(gate, $('call-name').value, $('call-how').value);
  });
}
