import { html, render } from '../html.js';
import { base, call, pathOf } from '../api.js';
import { form, input, textOf } from '../fields.js';
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
        ${input({ field: 'id', label: 'Id', required: true, pattern: '[a-z0-9\\-]{1,50}', maxlength: 50, placeholder: 'shop', hint: 'Lowercase letters, digits and hyphens. It cannot be changed.' })}
        ${newTarget()}
        ${filter.node}
        ${input({ field: 'starts_at', label: 'Starts at', type: 'datetime-local', hint: 'Sends events since then first, if they are still in the log. Empty: from now on.' })}`,
      submit,
    })}`);
  return 'New integration';

  /** @param {HTMLFormElement} element */
  async function submit(element) {
    const kind = chosenKind(element);
    const starts = textOf(element, 'starts_at');
    const conditions = filter.read(true);
    const registered = await call('post', base, {
      body: {
        id: textOf(element, 'id'),
        integration_type: 'permanent',
        ...readTarget(element, kind),
        ...(conditions && { filter_conditions: conditions }),
        ...(starts && { starts_at: fromLocal(starts) }),
      },
    });
    toast(`${registered.id} is registered and running.`);
    if (signal.aborted) return;
    render(into, done(registered, textOf(element, 'callback_parameters.signing_secret')));
    into.querySelector('h1')?.focus();
  }
}

/** What to do next. @param {Integration} one @param {string} secret in clear, '' for none */
function done(one, secret) {
  return html`<h1 tabindex="-1">${one.id} is running</h1>
    <div class="panel">
      <p>Send a test event to see that it arrives.</p>
      <div class="buttons"><button type="button" class="primary" @click=${() => askTest(one)}>Send a test event …</button>
        <a class="button" href="#/i/${one.id}">Go to ${one.id}</a></div>
      ${one.callback_parameters && html`
        ${secret && html`<h2>The signing secret</h2><p>Keep it now; from here on it is shown masked.</p><p><code class="secret">${secret}</code></p>${copy(secret)}`}
        <h2>Check the signature in your receiver</h2>
        ${!secret && html`<p>This integration has no signing secret: anyone who knows the URL can send to it. Stop and edit it to add one.</p>`}
        ${snippets()}`}
    </div>`;
}

/** Changes an integration that is stopped. @type {import('../main.js').View} */
export function edit(into, [id], signal) {
  render(into, html`<h1>Edit <bdi>${id}</bdi></h1>${loading('the integration')}`);
  call('get', pathOf(id), { signal }).then(show, (failure) => {
    if (!signal.aborted) render(into, html`<h1>Edit <bdi>${id}</bdi></h1>${failed(failure)}`);
  });
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
        content: html`<p class="hint">A secret that you leave masked stays as it is. To send to another host, give its secrets again.</p>${oldTarget(one)}${filter.node}`,
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
