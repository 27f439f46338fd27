import { html, render } from '../html.js';
import * as access from '../session.js';
import { newId } from '../ui.js';

/** Asks for an access token. @type {import('../main.js').View} */
export function askForToken(into) {
  const id = newId();
  const has = access.session() !== null;
  render(into, html`
    <h1>Access token</h1>
    <form class="panel narrow" @submit=${submit}>
      <p>Your platform gives you the address of this page with a token in it. You can also paste one here.</p>
      <label for=${id}>Token</label>
      <textarea id=${id} name="token" rows="5" spellcheck="false" autocomplete="off" required aria-describedby="${id}-hint"></textarea>
      <p class="hint" id="${id}-hint">It stays in this tab, and is forgotten when you close it. On your own node,
        <code>sluice console</code> opens this page with a token.</p>
      <p class="error" role="alert"></p>
      <div class="buttons">
        <button class="primary">Use this token</button>
        ${has && html`<button type="button" @click=${forget}>Forget the token</button>`}
      </div>
    </form>`);
  return 'Access token';

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const token = String(form.get('token'));
    const error = /** @type {Element} */ (into.querySelector('.error'));
    error.textContent = access.isToken(token) ? '' : 'This is no token: it has characters that no token has.';
    if (error.textContent !== '') return;
    access.use(token);
    leave();
  }

  function forget() {
    access.use('');
    leave();
  }

  function leave() {
    if (location.hash === '#/') window.dispatchEvent(new HashChangeEvent('hashchange'));
    else location.hash = '#/';
  }
}
