/**
 * The pieces that every view is made of.
 */
import { html, placeOf, render } from './html.js';
import { Failure, isAbort } from './api.js';

/** @typedef {import('./html.js').Content} Content */

/** What a state is called, and its shape: colour alone would not tell it to everybody. */
const states = new Map(Object.entries({
  healthy: ['●', 'Healthy'],
  catching_up: ['◐', 'Catching up'],
  failing: ['▲', 'Failing'],
  stopped: ['■', 'Stopped'],
  paused: ['■', 'Paused'],
  stopping: ['◧', 'Stopping'],
  complete: ['✔', 'Complete'],
  running: ['●', 'Running'],
  delivered: ['●', 'Delivered'],
  rejected: ['◆', 'Rejected'],
  skipped: ['⤼', 'Skipped'],
  retrying: ['▲', 'Retrying'],
  failed: ['▲', 'Failed'],
  pending: ['◐', 'Pending'],
  filtered: ['○', 'Filtered out'],
  before_start: ['○', 'Before its start'],
  after_end: ['○', 'After its end'],
  expired: ['○', 'Expired'],
}));

/** A state as word, shape and colour. @param {string} state */
export function badge(state) {
  const [shape, word] = states.get(state) ?? ['○', state];
  return html`<span class="badge ${state}"><span aria-hidden="true">${shape}</span> ${word}</span>`;
}

/** Says something to those who cannot see it appear. @param {string} text */
export function announce(text) {
  const region = document.getElementById('announcements');
  if (region) region.textContent = text;
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let hiding;

/** Says for some seconds what an action has done. @param {string} text */
export function toast(text) {
  const place = document.getElementById('toast');
  if (!place) return;
  // Outside an open dialog nobody could see it.
  (document.querySelector('dialog[open]') ?? document.body).append(place);
  place.hidden = false;
  place.textContent = text;
  clearTimeout(hiding);
  hiding = setTimeout(() => (place.hidden = true), 6000);
}

/** What a view shows until its first answer is here. @param {string} what */
export const loading = (what) => html`<p class="state loading" role="status"><span class="spinner" aria-hidden="true"></span> Loading ${what} …</p>`;

/** What a list shows that has nothing. @param {string} title @param {Content} what */
export const empty = (title, what = '') => html`<div class="state empty"><p><strong>${title}</strong></p><div>${what}</div></div>`;

/** Why a view has nothing to show, and the way out.
 * @param {Failure} failure @param {(() => void) | null} again */
export function failed(failure, again = null) {
  const [title, hint] = explain(failure);
  return html`<div class="state failed">
    <div role="alert"><p><strong>${title}</strong></p><p>${failure.message}</p></div>
    ${hint && html`<p>${hint}</p>`}
    ${failure.requestId && html`<p class="quiet">Request id <code>${failure.requestId}</code></p>`}
    ${again && html`<button type="button" @click=${again}>Try again</button>`}
  </div>`;
}

/** Who looks at a node of their own can make a token. */
export const onLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);

/** How to get another token. */
export const newToken = (flag = '') => html`Open this page again from where you got its address, or <a href="#/token">paste another token</a>.
  ${onLoopback && html`On your own node, <code>bin/sluice console${flag}</code> opens it with one.`}`;

/** @param {Failure} failure @returns {[string, Content]} */
function explain(failure) {
  switch (failure.status) {
    case 0:
      return ['No connection', 'This page tries again by itself.'];
    case 401:
      return ['The access token is not accepted', newToken()];
    case 403:
      return ['This token may not do that', newToken(' --write')];
    case 404:
      return ['Not found', html`<a href="#/">All integrations</a>`];
    case 429:
      return ['Too many calls', 'Wait a moment.'];
    default:
      return [failure.status >= 500 ? 'The service has a problem' : 'That did not work', ''];
  }
}

/**
 * A button whose action takes a while: it is disabled meanwhile, and a failure is shown beside it.
 *
 * @param {{ label: Content, act: () => Promise<void>, kind?: string, name?: string, disabled?: boolean, key?: string }} options
 */
export function action({ label, act, kind = '', name, disabled = false, key }) {
  return html`<span class="action" data-key=${key}><button type="button" class=${kind} aria-label=${name} ?disabled=${disabled} @click=${run}>${label}</button></span>`;

  /** The second click of a double click could mean what has taken the button's place.
   * @this {HTMLButtonElement} @param {MouseEvent} event */
  async function run(event) {
    if (event.detail < 2) await attempt(this, act);
  }
}

/** Runs an action for a button, and shows beside it what went wrong.
 * @param {HTMLButtonElement} button @param {() => Promise<void>} act */
export async function attempt(button, act) {
  if (button.getAttribute('aria-busy') === 'true') return;
  button.setAttribute('aria-busy', 'true');
  const place = button.closest('.buttons') ?? button.parentElement;
  place?.querySelector(':scope > .mishap')?.remove();
  try {
    await act();
  } catch (error) {
    if (isAbort(error)) return;
    if (!(error instanceof Failure)) throw error;
    if (!button.isConnected) toast(error.message);
    else place?.append(html`<span class="mishap" role="alert" data-own>${error.message}</span>`);
  } finally {
    button.removeAttribute('aria-busy');
  }
}

/**
 * A modal dialog. `content` gets a function that closes it. The browser keeps the focus in it,
 * closes it on Escape, and gives the focus back; if what had it is gone, as after a start, it goes next to it.
 *
 * @param {string} title @param {(close: () => void) => Content} content
 */
export function dialog(title, content) {
  const holder = document.createElement('div');
  render(holder, html`<dialog aria-labelledby="dialog-title"><h2 id="dialog-title">${title}</h2><div class="dialog-body"></div></dialog>`);
  const element = /** @type {HTMLDialogElement} */ (holder.firstElementChild);
  render(/** @type {Element} */ (element.querySelector('.dialog-body')), content(() => element.close()));
  const close = () => element.close();
  const back = placeOf(document.activeElement);
  window.addEventListener('hashchange', close); // it is about the view that it was opened in
  element.addEventListener('close', () => {
    window.removeEventListener('hashchange', close);
    const place = element.querySelector('#toast');
    if (place) document.body.append(place);
    element.remove();
    back();
  });
  document.body.append(element);
  element.showModal();
}

/** Asks before an action. @param {string} title @param {Content} text @param {string} label @param {() => Promise<void>} act */
export function confirm(title, text, label, act, kind = 'primary') {
  dialog(title, (close) => html`
    <div>${text}</div>
    <div class="buttons">
      ${action({ label, kind, act: async () => { await act(); close(); } })}
      <button type="button" autofocus @click=${close}>Cancel</button>
    </div>`);
}

/** Characters that turn the text after them around; in JSON they can be written so that they are seen. */
const turning = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** A JSON value, indented. Long ones are cut, and can be copied whole.
 * @param {unknown} value */
export function json(value) {
  const text = JSON.stringify(value, null, 2).replace(turning, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const most = 20000;
  return html`<div class="json">
    <pre tabindex="0" role="group" aria-label="JSON"><code>${text.slice(0, most)}</code></pre>
    ${text.length > most && html`<p class="quiet">The first ${most.toLocaleString()} of ${text.length.toLocaleString()} characters.</p>`}
    ${copy(text)}
  </div>`;
}

/** @param {string} text */
export function copy(text) {
  return action({
    label: 'Copy',
    kind: 'small',
    act: async () => {
      try {
        await navigator.clipboard.writeText(text);
        toast('Copied.');
      } catch {
        throw new Failure(0, 'no_clipboard', 'The browser does not allow it here; select the text instead.');
      }
    },
  });
}

/** A status code and a cause, as far as they are known. @param {number | null | undefined} status @param {string | null | undefined} cause */
export function answer(status, cause) {
  if (!status && !cause) return html`<span class="none">–</span>`;
  const said = cause?.includes(String(status)) ? [cause] : [status, cause]; // a cause has its status mostly
  return html`<bdi>${said.filter(Boolean).join(' · ')}</bdi>`;
}

let ids = 0;
/** An id for a field and its label. */
export const newId = () => `f${++ids}`;
