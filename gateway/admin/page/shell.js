/* The commands for a shell at the foot of the page: made complete, with the Redis and the prefix of this gateway, for who may ask. */
import { ask } from './admin.js';
import { $ } from './dom.js';

const USUAL_PREFIX = 'sg:';

/* What a shell takes as one word. */
const word = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** redisCli: how redis-cli reaches the Redis of that URL. */
export function redisCli(url) {
  if (url.startsWith('unix:')) return `redis-cli -s ${word(url.slice('unix:'.length))}`;
  return `redis-cli -u ${word(url)}`;
}

/** completeShell asks once, on the gateway's own machine, where no token is needed; elsewhere the commands stay as they are. */
export async function completeShell() {
  if (!/^(127\.|localhost$|\[::1\]$)/.test(location.hostname)) return;
  const { redis, prefix } = await ask(`admin/stats?since=${Number.MAX_SAFE_INTEGER}`);
  for (const element of document.querySelectorAll('.redis-cli')) element.textContent = redisCli(redis);
  if (prefix !== USUAL_PREFIX) for (const element of document.querySelectorAll('.redis-key')) element.textContent = word(`${prefix}{${element.textContent}}`);
  $('shell-note').hidden = true;
}
