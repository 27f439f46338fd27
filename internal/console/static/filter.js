/**
 * Choosing which events an integration gets: names, or entities, which are the part of a name
 * before its first dot.
 */
import { html, render } from './html.js';
import { base, call, pathOf } from './api.js';
import { newId } from './ui.js';

/** @typedef {{ event_filter?: string[] | null, entity_filter?: string[] | null }} Conditions */

const integrationsAsked = 5;
const deliveriesAsked = 200;

/**
 * A field for the filter. `read` returns what was chosen, null for everything.
 *
 * @param {Conditions | null | undefined} initial @param {AbortSignal} signal @param {() => void} changed
 * @returns {{ node: Element, read: (typed?: boolean) => Conditions | null }}
 */
export function filterField(initial, signal, changed) {
  const chosen = new Set([...(initial?.event_filter ?? []), ...(initial?.entity_filter ?? [])]);
  /** @type {string[]} */
  let seen = [];
  const id = newId();
  const node = document.createElement('fieldset');
  node.setAttribute('data-field', 'filter_conditions');
  draw();
  void namesSeen(signal).then((names) => {
    seen = names;
    draw();
  }, () => {});
  return { node, read };

  function draw() {
    const offered = [...new Set(seen.flatMap((name) => [name, name.split('.')[0]]))].filter((name) => !chosen.has(name))
      .sort((a, b) => Number(a.includes('.')) - Number(b.includes('.')) || a.localeCompare(b));
    render(node, html`
      <legend>Events</legend>
      <p class="hint">${chosen.size === 0 ? 'Every event is sent. Choose names to send fewer.' : 'Only these are sent:'}</p>
      ${chosen.size > 0 && html`<ul class="chips">${[...chosen].map((name) => html`<li data-key=${name}><code>${name}${name.includes('.') ? '' : '.*'}</code>
        <button type="button" class="small" aria-label="Remove ${name}" @click=${() => remove(name)}>✕</button></li>`)}</ul>`}
      <label for=${id}>Add a name, or an entity for all its events</label>
      <span class="with-extra"><input id=${id} data-key="input" list="${id}-seen" placeholder="order.created, or order" spellcheck="false" autocomplete="off"
        @keydown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === 'Enter') { event.preventDefault(); addTyped(); } }}>
        <button type="button" @click=${addTyped}>Add</button></span>
      <datalist id="${id}-seen">${offered.map((name) => html`<option value=${name}></option>`)}</datalist>
      ${offered.length > 0 && html`<p class="hint">Some of the names seen lately:</p>
        <ul class="chips">${offered.slice(0, 30).map((name) => html`<li data-key=${name}><button type="button" class="small" @click=${() => add(name)}>+ ${name}${name.includes('.') ? '' : '.*'}</button></li>`)}</ul>`}
      <p class="error" role="alert"></p>`);
  }

  function takeTyped() {
    const field = /** @type {HTMLInputElement} */ (node.querySelector('input'));
    for (const name of field.value.split(/[\s,]+/)) if (name) chosen.add(name.replace(/\.\*$/, ''));
    field.value = '';
    draw();
    return /** @type {HTMLInputElement} */ (node.querySelector('input'));
  }

  function addTyped() {
    takeTyped().focus();
    changed();
  }

  /** @param {string} name */
  function add(name) {
    chosen.add(name);
    draw();
    changed();
  }

  /** @param {string} name */
  function remove(name) {
    chosen.delete(name);
    draw();
    node.querySelector('input')?.focus();
    changed();
  }

  /** What is typed and not added counts when the form is sent. @param {boolean} typed */
  function read(typed = false) {
    if (typed) takeTyped();
    const names = [...chosen];
    const events = names.filter((name) => name.includes('.'));
    const entities = names.filter((name) => !name.includes('.'));
    if (names.length === 0) return null;
    return { ...(events.length > 0 && { event_filter: events }), ...(entities.length > 0 && { entity_filter: entities }) };
  }
}

/** The names of events that a few integrations got last. @param {AbortSignal} signal */
async function namesSeen(signal) {
  const { integrations: all } = await call('get', base, { signal });
  const names = new Set();
  for (const one of all.slice(0, integrationsAsked)) {
    const { deliveries } = await call('get', pathOf(one.id, '/deliveries'), { query: { limit: deliveriesAsked }, signal });
    for (const { event_name: name } of deliveries) if (name) names.add(name);
  }
  return /** @type {string[]} */ ([...names]);
}
