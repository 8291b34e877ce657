/* Questions to /admin/. Whoever is not on the gateway's machine needs a token; it stays in this tab (sessionStorage) and goes
 * out in a header, never in an address. */
const KEY = 'syncgate-admin-token';
const ATTEMPTS = 60; // to reach one worker of several

/** Denied: the gateway wants a (better) token. */
export class Denied extends Error {
  constructor(status) {
    super(status === 403 ? 'That token is good, but its entry has no “admin: true”.' : 'That token is not known here.');
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (text) => (text ? sessionStorage.setItem(KEY, text) : sessionStorage.removeItem(KEY)),
};

/** Elsewhere: it is another worker that knows. */
export class Elsewhere extends Error {}

async function request(path, signal, options = {}) {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  const response = await fetch(path, { headers, signal, cache: 'no-store', credentials: 'omit', ...options });
  if (response.status === 401 || response.status === 403) throw new Denied(response.status);
  if (response.status === 421) throw new Elsewhere(`no worker number ${path} answers`);
  if (!response.ok) throw new Error((await response.text()).trim() || `status ${response.status}`);
  return response;
}

/** ask reads one answer. */
export async function ask(path, signal) {
  return (await request(path, signal)).json();
}

/* Of several workers the kernel chooses who answers, each time anew. */
async function ofWorker(run) {
  for (let left = ATTEMPTS; ; left--) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof Elsewhere) || left === 0) throw error;
    }
  }
}

/** askWorker reads one answer of the worker that is named in the path. */
export const askWorker = (path, signal) => ofWorker(() => ask(path, signal));

/** act does something: a POST with a text, again until the worker that is named in the path gets it. */
export const act = (path, body = '') => ofWorker(() => request(path, undefined, { method: 'POST', body }));

/* One server-sent event as the gateway writes them: an optional line `event: …`, one line `data: …`. */
function parse(block) {
  const fields = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
  return { kind: fields.event ?? 'frame', data: JSON.parse(fields.data) };
}

/** follow reads events until the gateway ends them or the signal says stop. (An EventSource could not send the header.) */
export async function follow(path, signal, onEvent) {
  const { body } = await request(path, signal);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) onEvent(parse(block));
  }
}
