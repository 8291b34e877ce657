/* Three variables that everybody shares, each with a way to set it through the gateway. */
import { $, EqualBadge, asText, batch, equal, flash, h, putText } from './dom.js';
import { refused, showNotice } from './notice.js';

function wrote(sent) {
  if (!sent) showNotice('There is no connection to the gateway, so nothing was changed.');
  else showNotice(null);
}

/* Each kind makes its controls for a variable and says how a value looks. */
const kinds = {
  clock(variable) {
    let ticking = null;
    const tick = () => wrote(variable.set(new Date().toISOString()));
    const toggle = (event) => {
      clearInterval(ticking);
      if (event.target.checked) {
        tick();
        ticking = setInterval(() => variable.client.state === 'open' && variable.set(new Date().toISOString()), 1000);
      }
    };
    return {
      controls: [
        h('button', { type: 'button', onclick: tick }, 'Set to now'),
        h('label', { class: 'switch' }, h('input', { type: 'checkbox', role: 'switch', onchange: toggle }), h('span', {}, 'Tick from this tab')),
      ],
      show(value) {
        const time = typeof value === 'string' ? new Date(value) : NaN;
        return Number.isNaN(+time) ? asText(value) : time.toLocaleTimeString([], { hour12: false });
      },
    };
  },

  slider(variable) {
    let held = false; // while someone here drags, what arrives does not move the handle
    const input = h('input', { type: 'range', min: '0', max: '100', step: '1', 'aria-label': 'Set demo:slider' });
    const send = batch(() => wrote(variable.set(input.valueAsNumber)));
    const adopt = () => {
      if (!held && typeof variable.value === 'number') input.value = String(variable.value);
    };
    input.addEventListener('pointerdown', () => (held = true));
    for (const end of ['pointerup', 'pointercancel', 'blur'])
      input.addEventListener(end, () => {
        held = false;
      });
    input.addEventListener('input', send);
    return { controls: [input], show: asText, adopt };
  },

  text(variable) {
    const input = h('input', { type: 'text', placeholder: 'a text for everyone', 'aria-label': 'New value of demo:text', maxlength: '500' });
    const submit = (event) => {
      event.preventDefault();
      wrote(variable.set(input.value));
    };
    return { controls: [h('form', { class: 'inline', onsubmit: submit, autocomplete: 'off' }, input, h('button', { type: 'submit' }, 'Set'))], show: asText };
  },
};

class Row {
  #badge = new EqualBadge(h('span', { class: 'badge', hidden: true }));
  #output = h('output', { class: 'value' });
  #problem = h('p', { class: 'quiet problem' });
  #show = batch(() => this.#render());
  #changed = false;
  #known = false; // what is there at first did not change
  #other = null;

  constructor(gate, name, kind) {
    this.name = name;
    this.variable = gate.variable(name);
    this.kind = kinds[kind](this.variable);
    this.element = h('div', { class: `variable ${kind}`, 'data-name': name },
      h('div', { class: 'variable-head' }, h('code', {}, name), this.#badge.element),
      this.#output, h('div', { class: 'variable-controls' }, ...this.kind.controls), this.#problem);
    this.variable.on('change', () => {
      this.#changed = this.#known;
      this.#known = true;
      this.#show();
    });
    this.variable.on('state', this.#show);
    this.variable.on('error', (error) => {
      if (error.during === 'write') refused('write', name, error);
      this.#show();
    });
    this.#show();
  }

  compare(gate) {
    this.#other?.close();
    this.#other = gate && gate.variable(this.name);
    this.#other?.on('change', this.#show);
    this.#other?.on('state', this.#show);
    this.#show();
  }

  #render() {
    const { state, value, error } = this.variable;
    const known = value !== undefined;
    putText(this.#output, known ? this.kind.show(value) : '–');
    this.#output.classList.toggle('stale', state !== 'live');
    this.kind.adopt?.();
    if (this.#changed) flash(this.#output, 'changed');
    this.#changed = false;
    const problems = { unknown: 'Not there yet: setting it creates it.', failed: error && `Error ${error.code}: ${error.message}` };
    this.#problem.textContent = problems[state] ?? '';
    this.#badge.show(this.#other ? this.#other.state === 'live' && state === 'live' && equal(value, this.#other.value) : null);
  }
}

export class VariableCard {
  constructor(gate) {
    this.rows = ['clock', 'slider', 'text'].map((kind) => new Row(gate, `demo:${kind}`, kind));
    $('variable-rows').append(...this.rows.map((row) => row.element));
  }

  /** compare shows for each variable whether another gateway holds the same; null ends it. */
  compare(gate) {
    for (const row of this.rows) row.compare(gate);
  }
}
