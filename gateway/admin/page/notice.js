/* One line above everything for what a person should know: above all, that a gateway refused a change and how to allow it. */
import { CODE } from './syncgate.js';
import { $ } from './dom.js';

/** showNotice shows a sentence; null takes it away. */
export function showNotice(text) {
  $('notice').hidden = text === null;
  if (text !== null) $('notice-text').textContent = text;
}

/** refused explains an error that answers a write or a serve (`grant` says which) of `name`. */
export function refused(grant, name, { code, message }) {
  const answer = `error ${code}${message ? ` (${message})` : ''}`;
  if (code !== CODE.FUNC && code !== CODE.NAME) {
    showNotice(`The gateway answered ${answer} to the last change of ${name}.`);
    return;
  }
  showNotice(
    `The gateway refused to let this page ${grant} ${name}: ${answer}. To allow it, start the gateway with --dev, or give the token ` +
      `in its configuration a ${grant} grant that covers the name (demo:* and demo.*) and open this page with ?token=…`,
  );
}
