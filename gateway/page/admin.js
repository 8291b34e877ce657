/* Questions to /admin/. Whoever is not on the gateway's machine needs a token; it stays in this tab (sessionStorage) and goes
 * out in a header, never in an address. */
const KEY = 'syncgate-admin-token';

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

async function request(path, signal) {
  const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
  const response = await fetch(path, { headers, signal, cache: 'no-store', credentials: 'omit' });
  if (response.status === 401 || response.status === 403) throw new Denied(response.status);
  if (!response.ok) throw new Error((await response.text()).trim() || `status ${response.status}`);
  return response;
}

/** ask reads one answer. */
export async function ask(path, signal) {
  return (await request(path, signal)).json();
}

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
