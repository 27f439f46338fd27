import { html, render } from '../html.js';
import { base, call, pathOf } from '../api.js';
import { form, idForm, input, textOf } from '../fields.js';
import { filterField } from '../filter.js';
import { fromLocal } from '../format.js';
import { snippets } from '../snippets.js';
import { chosenKind, newTarget, oldTarget, readTarget } from '../target.js';
import { copy, failed, loading, toast } from '../ui.js';
import { askTest } from './actions.js';

/** @typedef {import('../api.js').Integration} Integration */

/** Registers an integration. @type {import('../main.js').View} */
export function register(into, _, signal) {
  const filter = filterField(null, signal, () => {});
  render(into, html`<h1>New integration</h1>
    ${form({
      label: 'New integration',
      button: 'Register',
      more: html`<a class="button" href="#/">Cancel</a>`,
      content: html`
        ${input({ field: 'id', label: 'Id', required: true, pattern: '[a-z0-9\\-]{1,50}', maxlength: 50, placeholder: 'shop', title: idForm, hint: `${idForm}. It cannot be changed.` })}
        ${newTarget()}
        ${filter.node}
        ${input({ field: 'starts_at', label: 'Starts at', type: 'datetime-local', hint: 'Sends events since then first, if they are still in the event log. Empty: from now on.' })}`,
      submit,
    })}`);
  return 'New integration';

  /** @param {HTMLFormElement} element */
  async function submit(element) {
    const kind = chosenKind(element);
    const starts = textOf(element, 'starts_at');
    const conditions = filter.read(true);
    const one = await call('post', base, {
      body: {
        id: textOf(element, 'id'),
        integration_type: 'permanent',
        ...readTarget(element, kind),
        ...(conditions && { filter_conditions: conditions }),
        ...(starts && { starts_at: fromLocal(starts) }),
      },
    });
    toast(`${one.id} is registered and running.`);
    if (signal.aborted) return;
    justMade = { one, secret: textOf(element, 'callback_parameters.signing_secret') };
    location.replace(`#/i/${one.id}/registered`); // going back must not lead to the form again
  }
}

/** What was just registered, and its signing secret in clear, which is shown once.
 * @type {{ one: Integration, secret: string } | null} */
let justMade = null;

/** What to do with an integration that was just registered. @type {import('../main.js').View} */
export function registered(into, [id], signal) {
  const made = justMade;
  justMade = null;
  if (made?.one.id === id) render(into, next(made.one, made.secret));
  else load(into, id, `${id} is registered`, signal, (one) => render(into, next(one, '')));
  return `${id} is registered`;
}

/** Shows an integration when it is read, or why it cannot be.
 * @param {Element} into @param {string} id @param {string} title @param {AbortSignal} signal @param {(one: Integration) => void} show */
function load(into, id, title, signal, show) {
  render(into, html`<h1>${title}</h1>${loading('the integration')}`);
  call('get', pathOf(id), { signal }).then(show, (failure) => {
    if (!signal.aborted) render(into, html`<h1>${title}</h1>${failed(failure)}`);
  });
}

/** @param {Integration} one @param {string} secret in clear, '' if it is not known here */
function next(one, secret) {
  const isSigned = Boolean(one.callback_parameters?.signing_secret);
  return html`<h1>${one.id} is registered</h1>
    <div class="panel">
      <p>Send a test event to see that it arrives.</p>
      <div class="buttons"><button type="button" class="primary" @click=${() => askTest(one)}>Send a test event …</button>
        <a class="button" href="#/i/${one.id}">Go to ${one.id}</a></div>
      ${one.callback_parameters && html`
        ${secret && html`<h2>The signing secret</h2><p>Keep it now; from here on it is shown masked.</p><p><code class="secret">${secret}</code></p>${copy(secret)}`}
        <h2>Check the signature in your receiver</h2>
        ${!isSigned && html`<p>This integration has no signing secret: anyone who knows the URL can send to it. Stop and edit it to add one.</p>`}
        ${snippets()}`}
    </div>`;
}

/** Changes an integration that is stopped. @type {import('../main.js').View} */
export function edit(into, [id], signal) {
  load(into, id, `Edit ${id}`, signal, show);
  return `Edit ${id}`;

  /** @param {Integration} one */
  function show(one) {
    const filter = filterField(one.filter_conditions, signal, () => {});
    const kind = one.s3_parameters ? 's3_parameters' : 'callback_parameters';
    render(into, html`<h1>Edit <bdi>${id}</bdi></h1>
      ${one.status !== 'stopped' && html`<p class="notice">It is ${one.status}. Stop it before you change it.</p>`}
      ${form({
        label: `Edit ${id}`,
        button: 'Save',
        more: html`<a class="button" href="#/i/${id}">Cancel</a>`,
        content: html`<p class="hint">A secret that you leave masked stays as it is. To send to another host, give the API key or the secret access key again.</p>${oldTarget(one)}${filter.node}`,
        submit: async (element) => {
          const conditions = filter.read(true);
          await call('patch', pathOf(id), {
            body: {
              ...readTarget(element, kind, true),
              filter_conditions: conditions && { event_filter: null, entity_filter: null, ...conditions },
            },
          });
          toast(`${id} is changed. Start it when you are ready.`);
          if (signal.aborted) return;
          location.hash = `#/i/${id}`;
        },
      })}`);
  }
}
