import { html, render } from '../html.js';
import { call, root } from '../api.js';
import { ago } from '../format.js';
import { keepFresh } from '../live.js';
import { actFor } from '../session.js';
import { behindBy } from '../sentences.js';
import { action, answer, badge, dialog, empty, failed, newId, loading } from '../ui.js';

const every = 10000;
const limit = 50;

/** For tokens that act for every tenant: what is failing or lagging, and the choice of a tenant. @type {import('../main.js').View} */
export function allTenants(into, _, signal) {
  let pages = 1;
  render(into, html`<h1>All tenants</h1>
    <div data-key="choose" data-keep>${chooser((tenant) => open(tenant, '#/'))}</div>
    <h2>Failing or lagging</h2>
    <div data-key="list">${loading('what is failing')}</div>`);
  const list = /** @type {Element} */ (into.querySelector('[data-key="list"]'));
  const refresh = keepFresh(signal, every, read, (failure) => render(list, failure.code === 'alerts_off'
    ? empty('Alerts are off', failure.message)
    : failed(failure, () => refresh())));
  return 'All tenants';

  async function read() {
    /** @type {any[]} */
    let all = [];
    /** @type {string | null} */
    let after = null;
    for (let page = 0; page < pages; page++) {
      const told = await call('get', root + '/integrations/health', { query: { limit, after }, signal, noTenant: true });
      all = [...all, ...told.integrations];
      after = told.next;
      if (!after) break;
    }
    render(list, all.length === 0 ? empty('Everything is well', 'No integration of any tenant is failing or lagging.') : html`
      ${table(all)}
      ${after && action({ label: 'More', act: async () => { pages++; await read(); } })}`);
  }
}

/** @param {any[]} all */
function table(all) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Failing or lagging"><table class="cards">
    <thead><tr><th scope="col">Integration</th><th scope="col">Tenant</th><th scope="col">State</th><th scope="col">Behind by</th><th scope="col">Since</th><th scope="col">Answer</th></tr></thead>
    <tbody>${all.map((one) => html`<tr data-key="${one.tenant}/${one.id}">
      <th scope="row"><a href="#/i/${one.id}" @click=${(/** @type {Event} */ event) => { event.preventDefault(); open(one.tenant, `#/i/${one.id}`); }}>${one.id}</a></th>
      <td data-label="Tenant"><bdi>${one.tenant}</bdi></td>
      <td data-label="State">${badge(one.health?.state ?? 'failing')}</td>
      <td data-label="Behind by">${one.health ? behindBy(one.health) : '–'}</td>
      <td data-label="Since">${ago(one.health?.failing?.since ?? one.since)}</td>
      <td data-label="Answer">${answer(one.health?.failing?.status_code, one.health?.failing?.cause)}</td>
    </tr>`)}</tbody></table></div>`;
}

/** @param {string} tenant @param {string} view */
function open(tenant, view) {
  actFor(tenant);
  history.pushState({ tenant }, '', view);
  window.dispatchEvent(new HashChangeEvent('hashchange'));
}

/** @param {(tenant: string) => void} choose */
function chooser(choose) {
  const id = newId();
  return html`<form class="panel narrow" @submit=${submit}>
    <label for=${id}>Tenant</label>
    <span class="with-extra"><input id=${id} name="tenant" required maxlength="128" spellcheck="false" autocomplete="off"><button class="primary">Open</button></span>
  </form>`;

  /** @this {HTMLFormElement} @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    choose(String(new FormData(this).get('tenant')).trim());
  }
}

/** Asks for another tenant. */
export function chooseTenant() {
  dialog('Another tenant', (close) => html`${chooser((tenant) => { close(); open(tenant, '#/'); })}
    <div class="buttons"><button type="button" @click=${close}>Cancel</button></div>`);
}
