/* Numbers as people read them. */

const round = (n) => (n >= 100 ? Math.round(n) : n >= 10 ? Math.round(n * 10) / 10 : Math.round(n * 100) / 100).toLocaleString('en');

function scaled(n, steps) {
  for (const [size, unit] of steps) if (Math.abs(n) >= size) return `${round(n / size)}${unit}`;
  return round(n);
}

export const count = (n) => (n < 10000 ? Math.round(n).toLocaleString('en') : scaled(n, [[1e9, ' G'], [1e6, ' M'], [1e3, ' k']]));
export const rate = (n) => (n > 0 && n < 10 ? String(Math.round(n * 10) / 10) : count(n));
export const bytes = (n) => (n < 1000 ? `${Math.round(n)} B` : scaled(n, [[1e12, ' TB'], [1e9, ' GB'], [1e6, ' MB'], [1e3, ' kB']]));
export const micros = (us) => (us >= 1e6 ? `${round(us / 1e6)} s` : us >= 1000 ? `${round(us / 1000)} ms` : `${Math.round(us)} µs`);

/** span: how long something lasts, in the two largest units. */
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString('en-GB');
