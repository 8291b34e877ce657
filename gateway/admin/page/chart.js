/* A line chart of the last minutes or the last hour, drawn as SVG. Pointer or arrow keys read off a moment. */
import { h } from './dom.js';
import { clock } from './units.js';

const HEIGHT = 132;
const PAD = { top: 8, right: 6, bottom: 18, left: 6 };

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/* The next round number: 1, 2 or 5 times a power of ten. */
function ceiling(n, least) {
  const top = Math.max(n, least);
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 5, 10].find((step) => step * power >= top * 0.999) * power;
}

export class Chart {
  #points = []; // { t, values }, oldest first; a value may be null
  #cursor = null; // index into #points
  #width = 320;
  #window = 180000; // ms that are shown

  /** series: names, the first is the one that is filled. least: the scale does not go below it. */
  constructor({ title, series, format, least = 1 }) {
    this.title = title;
    this.series = series;
    this.format = format;
    this.least = least;
    this.figure = h('span', { class: 'chart-figure' }, '–');
    this.when = h('span', { class: 'quiet' }, series.length > 1 ? series.join(' / ') : '');
    this.picture = svg('svg', { role: 'img', tabindex: '0', height: HEIGHT });
    this.element = h('figure', { class: 'card chart' },
      h('figcaption', {}, h('h3', {}, title), h('span', { class: 'chart-now' }, this.figure, this.when)), this.picture);
    this.#listen();
    new ResizeObserver(([{ contentRect }]) => {
      this.#width = Math.max(120, Math.floor(contentRect.width));
      this.#draw();
    }).observe(this.picture.parentElement);
  }

  /** show: these points, of the last `window` ms. */
  show(points, window) {
    this.#window = window;
    this.points = points;
  }

  set points(points) {
    this.#points = points;
    if (this.#cursor !== null && this.#cursor >= points.length) this.#cursor = null;
    this.#draw();
  }

  #listen() {
    this.picture.addEventListener('pointermove', ({ offsetX }) => this.#point(offsetX));
    this.picture.addEventListener('pointerleave', () => this.#move(null));
    this.picture.addEventListener('blur', () => this.#move(null));
    this.picture.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === 'Escape') this.#move(null);
      if (!step) return;
      event.preventDefault();
      const last = this.#points.length - 1;
      this.#move(Math.min(last, Math.max(0, (this.#cursor ?? last + 1) + step)));
    });
  }

  #point(x) {
    const at = this.#points.findIndex(({ t }) => this.#x(t) >= x);
    this.#move(at < 0 ? null : at);
  }

  #move(cursor) {
    this.#cursor = this.#points.length ? cursor : null;
    this.#draw();
  }

  get #end() {
    return this.#points.at(-1)?.t ?? Date.now();
  }

  #x(t) {
    return PAD.left + ((t - (this.#end - this.#window)) / this.#window) * (this.#width - PAD.left - PAD.right);
  }

  #top() {
    return ceiling(Math.max(0, ...this.#points.flatMap(({ values }) => values.map((value) => value ?? 0))), this.least);
  }

  #line(index, y) {
    let path = '';
    let pen = 'M';
    for (const { t, values } of this.#points) {
      if (values[index] === null) continue; // a second without any: the line goes on from before
      path += `${pen}${this.#x(t).toFixed(1)} ${y(values[index]).toFixed(1)}`;
      pen = 'L';
    }
    return path;
  }

  #area(line, y) {
    const known = this.#points.filter(({ values }) => values[0] !== null);
    return `${line}L${this.#x(known.at(-1).t).toFixed(1)} ${y(0)}L${this.#x(known[0].t).toFixed(1)} ${y(0)}Z`;
  }

  #axis(top, y) {
    const { left, right } = PAD;
    const base = HEIGHT - 4;
    const rows = [0, 0.5, 1].map((part) => svg('line', { class: 'grid', x1: left, x2: this.#width - right, y1: y(top * part), y2: y(top * part) }));
    const label = (text, x, at, anchor) => {
      const element = svg('text', { x, y: at, 'text-anchor': anchor });
      element.textContent = text;
      return element;
    };
    return [...rows, label(this.format(top), left + 2, y(top) + 11, 'start'),
      label(`${this.#window / 60000} min ago`, left, base, 'start'), label('now', this.#width - right, base, 'end')];
  }

  #lines(y) {
    return [...this.series].reverse().flatMap((_, reversed) => {
      const index = this.series.length - 1 - reversed;
      const line = this.#line(index, y);
      if (!line) return [];
      const area = index === 0 ? [svg('path', { class: 'area', d: this.#area(line, y) })] : [];
      return [...area, svg('path', { class: `line series-${index + 1}`, d: line })];
    });
  }

  #marks(y) {
    if (this.#cursor === null) return [];
    const { t, values } = this.#points[this.#cursor];
    const x = this.#x(t);
    const dots = values.map((value, index) => (value === null ? null : svg('circle', { class: `series-${index + 1}`, cx: x, cy: y(value), r: 3.5 })));
    return [svg('line', { class: 'cursor', x1: x, x2: x, y1: PAD.top, y2: y(0) }), ...dots.filter(Boolean)];
  }

  #draw() {
    const top = this.#top();
    const y = (value) => HEIGHT - PAD.bottom - (value / top) * (HEIGHT - PAD.top - PAD.bottom);
    this.picture.setAttribute('viewBox', `0 0 ${this.#width} ${HEIGHT}`);
    this.picture.replaceChildren(...this.#axis(top, y), ...this.#lines(y), ...this.#marks(y));
    this.#say();
  }

  /* The last second may have had none; then the one before that had. */
  #shown() {
    if (this.#cursor !== null) return this.#points[this.#cursor];
    return this.#points.findLast(({ values }) => values[0] !== null);
  }

  #say() {
    const shown = this.#shown();
    const text = shown ? shown.values.map((value) => (value === null ? '–' : this.format(value))).join(' / ') : '–';
    this.figure.textContent = text;
    const names = this.series.length > 1 ? this.series.join(' / ') : '';
    this.when.textContent = this.#cursor === null ? names : `at ${clock(shown.t)}`;
    this.picture.setAttribute('aria-label', `${this.title}${names ? `, ${names}` : ''}: ${text}. Arrow keys read earlier moments.`);
  }
}
