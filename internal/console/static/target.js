/**
 * Where events go: the fields of a webhook or of an S3 bucket.
 */
import { html, render } from './html.js';
import { base, call } from './api.js';
import { input, textOf } from './fields.js';
import { newId, onLoopback } from './ui.js';

/** @typedef {import('./api.js').Integration} Integration */

/** Where `sluice listen` listens. */
const sampleReceiver = 'http://127.0.0.1:9000/';

/** Fields for a new target: one of both kinds. @param {import('./html.js').Content} [first] */
export function newTarget(first) {
  return html`<fieldset>
    <legend>Target</legend>
    ${first}
    <p class="choice">
      <label><input type="radio" name="kind" value="webhook" checked @change=${show}> Webhook</label>
      <label><input type="radio" name="kind" value="s3" @change=${show}> Files in an S3 bucket</label>
    </p>
    <div data-kind="webhook">${webhook(null)}</div>
    <div data-kind="s3" hidden>${s3(null)}</div>
  </fieldset>`;

  /** @this {HTMLInputElement} */
  function show() {
    for (const one of /** @type {Iterable<HTMLElement>} */ (this.form?.querySelectorAll('[data-kind]') ?? [])) {
      one.hidden = one.getAttribute('data-kind') !== this.value;
      // The browser must not ask for what cannot be seen.
      for (const field of /** @type {Iterable<HTMLInputElement>} */ (one.querySelectorAll('input'))) field.disabled = one.hidden;
    }
  }
}

/** A choice of an integration whose target is filled in. @param {AbortSignal} signal */
export function sameTarget(signal) {
  const place = document.createElement('div');
  call('get', base, { signal }).then(({ integrations }) => {
    if (integrations.length > 0) render(place, choiceOf(integrations));
  }, () => {}); // it can be typed too
  return place;
}

/** @param {Integration[]} integrations */
function choiceOf(integrations) {
  const id = newId();
  /** What is optional otherwise. @type {HTMLInputElement[]} */
  let needed = [];
  return html`<div class="field"><label for=${id}>The same target as</label>
    <select id=${id} aria-describedby="${id}-hint" @change=${take}><option value="">– type it below –</option>
      ${integrations.map((one) => html`<option value=${one.id}>${one.id}</option>`)}</select>
    <p class="hint" id="${id}-hint" role="status"></p></div>`;

  /** @this {HTMLSelectElement} */
  function take() {
    const one = integrations.find((each) => each.id === this.value);
    const form = /** @type {HTMLFormElement} */ (this.form);
    for (const field of needed) setNeeded(field, false);
    const missing = one ? fillIn(form, one) : [];
    // Without them the calls would not be signed, or not be let in, as those of the other are.
    needed = missing.filter((field) => !field.required);
    for (const field of needed) setNeeded(field, true);
    const hint = /** @type {Element} */ (form.querySelector(`[id="${id}-hint"]`));
    hint.textContent = missing.length === 0 ? '' : `Secrets of ${this.value} cannot be read: type the ${missing.map(labelOf).join(' and the ')} again${needed.length > 0 ? ', or choose “type it below” to do without' : ''}.`;
  }
}

/** @param {HTMLInputElement} field @param {boolean} is */
function setNeeded(field, is) {
  field.required = is;
  const optional = field.labels?.[0]?.querySelector('.quiet');
  if (optional) optional.textContent = is ? 'needed again' : 'optional';
}

const masked = '********'; // what the API shows of a secret begins so, unless it is set to reveal them

/** @param {HTMLInputElement} field */
const labelOf = (field) => field.labels?.[0]?.firstChild?.textContent ?? field.name;

/** Fills in a target, and returns the fields of its secrets, which cannot be.
 * @param {HTMLFormElement} form @param {Integration} one */
function fillIn(form, one) {
  const kind = one.s3_parameters ? 's3' : 'webhook';
  const chosen = /** @type {HTMLInputElement} */ (form.querySelector(`[name="kind"][value="${kind}"]`));
  chosen.checked = true;
  chosen.dispatchEvent(new Event('change'));
  /** @type {HTMLInputElement[]} */
  const missing = [];
  for (const field of /** @type {Iterable<HTMLInputElement>} */ (form.querySelectorAll(`[data-kind="${kind}"] input`))) {
    const [of, name] = field.name.split('.');
    const value = String(/** @type {any} */ (one)[of]?.[name] ?? '');
    field.value = value.startsWith(masked) ? '' : value;
    if (value !== field.value) missing.push(field);
  }
  return missing;
}

/** Fields for the target that an integration has. @param {Integration} one */
export function oldTarget(one) {
  return html`<fieldset><legend>Target</legend>${one.s3_parameters ? s3(one) : webhook(one)}</fieldset>`;
}

/** @param {Integration | null} one */
function webhook(one) {
  const now = one?.callback_parameters;
  return html`
    ${input({ field: 'callback_parameters.callback_url', label: 'URL', type: 'url', required: true, value: now?.callback_url, placeholder: 'https://example.com/events', maxlength: 2048,
    hint: onLoopback ? html`Each event is one POST to it. <code>bin/sluice listen</code> is a sample receiver, which prints what arrives at this address.` : 'Each event is one POST to it.',
    extra: onLoopback && html`<button type="button" @click=${fill(() => sampleReceiver)}>Sample receiver</button>` })}
    ${input({ field: 'callback_parameters.api_key', label: 'API key', value: now?.api_key ?? '', hint: 'Sent as Authorization: Bearer …' })}
    ${input({ field: 'callback_parameters.signing_secret', label: 'Signing secret', value: now?.signing_secret ?? '',
    hint: 'Your receiver uses it to verify that events are genuine. Copy it now; later it is shown masked.',
    extra: html`<button type="button" @click=${fill(newSecret)}>Generate</button>` })}`;
}

/** Fills the field before a button. @param {() => string} value */
function fill(value) {
  /** @this {HTMLButtonElement} */
  return function () {
    const field = /** @type {HTMLInputElement} */ (this.previousElementSibling);
    field.value = value();
    field.dispatchEvent(new Event('input', { bubbles: true }));
  };
}

/** A secret of Standard Webhooks: 32 random bytes. */
function newSecret() {
  return 'whsec_' + btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))));
}

/** @param {Integration | null} one */
function s3(one) {
  const now = one?.s3_parameters;
  const field = (/** @type {string} */ name) => `s3_parameters.${name}`;
  return html`
    ${input({ field: field('bucket'), label: 'Bucket', required: true, value: now?.bucket, disabled: !one })}
    ${input({ field: field('aws_region'), label: 'Region', required: true, value: now?.aws_region, placeholder: 'eu-central-1', disabled: !one })}
    ${input({ field: field('aws_access_key_id'), label: 'Access key id', required: true, value: now?.aws_access_key_id, disabled: !one })}
    ${input({ field: field('aws_secret_access_key'), label: 'Secret access key', required: true, value: now?.aws_secret_access_key, disabled: !one,
    hint: 'It needs s3:PutObject and s3:AbortMultipartUpload on the prefix, no more.' })}
    ${input({ field: field('key_prefix'), label: 'Key prefix', value: now?.key_prefix ?? '', disabled: !one, hint: 'Files are named PREFIX/TENANT/TIME-data-RANDOM.export.' })}
    ${input({ field: field('endpoint'), label: 'Endpoint', type: 'url', value: now?.endpoint ?? '', disabled: !one, hint: 'Of a store that is compatible with S3; empty for S3 itself.' })}`;
}

const optional = ['callback_parameters.api_key', 'callback_parameters.signing_secret', 's3_parameters.key_prefix', 's3_parameters.endpoint'];
const all = {
  callback_parameters: ['callback_url', 'api_key', 'signing_secret'],
  s3_parameters: ['bucket', 'aws_region', 'aws_access_key_id', 'aws_secret_access_key', 'key_prefix', 'endpoint'],
};

/** The target as the API has it. What is optional and empty is left out, or null to remove it.
 * @param {HTMLFormElement} form @param {'callback_parameters' | 's3_parameters'} kind @param {boolean} change */
export function readTarget(form, kind, change = false) {
  /** @type {Record<string, string | null>} */
  const target = {};
  for (const name of all[kind]) {
    const value = textOf(form, `${kind}.${name}`);
    if (value !== '' || !optional.includes(`${kind}.${name}`)) target[name] = value;
    else if (change) target[name] = null;
  }
  return { [kind]: target };
}

/** @param {HTMLFormElement} form */
export const chosenKind = (form) => (textOf(form, 'kind') === 's3' ? 's3_parameters' : 'callback_parameters');
