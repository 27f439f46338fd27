/**
 * The console: static files over the public API. This file has the frame: who is looking, and which
 * view the address names.
 */
import { html, render } from './html.js';
import { Failure, isAbort, now, onConnection } from './api.js';
import { brand } from './brand.js';
import { clock } from './format.js';
import * as access from './session.js';
import { announce, failed, newToken } from './ui.js';
import { askForToken } from './views/token.js';
import { allTenants, chooseTenant } from './views/tenants.js';
import { events } from './views/event.js';
import { integration } from './views/integration.js';
import { integrations } from './views/integrations.js';
import { edit, register, registered } from './views/register.js';
import { replay } from './views/replay.js';

/**
 * A view shows itself in an element until the signal, and returns its title.
 * @typedef {(into: Element, params: string[], signal: AbortSignal) => string} View
 */

/** @type {[RegExp, View][]} */
const views = [
  [/^\/$/, integrations],
  [/^\/new$/, register],
  [/^\/replay$/, replay],
  [/^\/event(?:\/([^/]*))?(?:\/([^/]*))?$/, events],
  [/^\/all$/, allTenants],
  [/^\/token$/, askForToken],
  [/^\/i\/([a-z0-9-]{1,50})\/registered$/, registered],
  [/^\/i\/([a-z0-9-]{1,50})\/edit$/, edit],
  [/^\/i\/([a-z0-9-]{1,50})(?:\/(deliveries|rejected|log))?$/, integration],
];

const frame = {
  header: /** @type {Element} */ (document.getElementById('header')),
  notices: /** @type {Element} */ (document.getElementById('notices')),
  view: /** @type {HTMLElement} */ (document.getElementById('view')),
};

let connected = true;
let leaving = new AbortController();
let shown = '';
let fault = '';

/** Shows the view that the address names. */
function go() {
  leaving.abort();
  leaving = new AbortController();
  const path = pathOf(location.hash);
  keepTenant();
  const [view, params] = chosen(path);
  // Only the tabs of an integration go on with what is drawn: a view has nodes of its own.
  const sameView = view === integration ? params[0] : path;
  if (sameView !== shown || view !== integration) render(frame.view, '');
  drawFrame();
  const title = view(frame.view, params, leaving.signal);
  document.title = `${title} · ${brand.name}`;
  if (shown !== '' && sameView !== shown) {
    frame.view.focus();
    window.scrollTo(0, 0);
    announce(title);
  }
  shown = sameView;
}

/** Each entry of the history has its tenant: going back must not show the same id of another. */
function keepTenant() {
  const who = access.session();
  if (!who || !access.isPlatform()) return;
  if (typeof history.state?.tenant === 'string') access.actFor(history.state.tenant);
  else history.replaceState({ tenant: who.tenant }, '');
}

/** @param {string} hash */
function pathOf(hash) {
  try {
    return decodeURI(hash.replace(/^#/, '')) || '/';
  } catch {
    return hash; // not UTF-8: no view has such a path
  }
}

/** @param {string} path @returns {[View, string[]]} */
function chosen(path) {
  if (!access.session()) return [askForToken, []];
  for (const [pattern, view] of views) {
    const found = pattern.exec(path);
    if (!found) continue;
    const ofTenant = ![allTenants, askForToken].includes(view);
    if (ofTenant && access.isPlatform() && access.session()?.tenant === '') return [allTenants, []];
    if ([register, registered, edit, replay].includes(view) && !access.mayWrite()) return [readOnly, []];
    return [view, found.slice(1)];
  }
  return [notFound, []];
}

/** @type {View} */
function notFound(into) {
  render(into, html`<h1>Not found</h1>${failed(new Failure(404, 'not_found', 'This page has no such view.'))}`);
  return 'Not found';
}

/** @type {View} */
function readOnly(into) {
  render(into, html`<h1>Read-only</h1>${failed(new Failure(403, 'forbidden', 'This token is read-only.'))}`);
  return 'Read-only';
}

function drawFrame() {
  const who = access.session();
  const tenant = access.isPlatform() ? (who?.tenant ?? '') : access.ownTenant();
  const here = location.hash || '#/';
  /** @param {string} to @param {string} label */
  const link = (to, label) => html`<a href=${to} aria-current=${here === to ? 'page' : null}>${label}</a>`;
  render(frame.header, html`
    <a class="brand" href="#/">${brand.logo && html`<img src=${brand.logo} alt="" height="24">`}<span>${brand.name}</span></a>
    ${who && html`<nav aria-label="Main">
      ${access.isPlatform() && link('#/all', 'All tenants')}
      ${(!access.isPlatform() || tenant) && html`
        ${link('#/', 'Integrations')}
        ${access.mayWrite() && link('#/new', 'New')}
        ${access.mayWrite() && link('#/replay', 'Replay')}
        ${link('#/event', 'Find an event')}`}
    </nav>`}
    ${who && html`<div class="who">
      ${tenant && html`<span class="tenant" title="Tenant"><bdi>${tenant}</bdi></span>`}
      ${access.isPlatform() && tenant && html`<button type="button" class="small" @click=${() => chooseTenant()}>Change</button>`}
      ${!access.mayWrite() && html`<span class="badge filtered">Read-only</span>`}
      <a href="#/token">Token</a>
    </div>`}`);
  drawNotices();
}

function drawNotices() {
  const left = (access.session()?.expires ?? Infinity) - now();
  const flag = (access.isPlatform() ? ' --any-tenant' : '') + (access.mayWrite() ? ' --write' : '');
  render(frame.notices, html`
    ${fault && html`<p class="notice bad" role="alert" data-key="fault">Something went wrong in this page: ${fault}. <a href="./">Load it again</a>.</p>`}
    ${!connected && html`<p class="notice bad" role="alert" data-key="connection">Connection lost. What you see may be old. Retrying …</p>`}
    ${left <= 0 && html`<p class="notice bad" role="alert" data-key="expired">The access token has expired. ${newToken(flag)}</p>`}
    ${left > 0 && left < 120000 && html`<p class="notice" role="status" data-key="expires">The access token expires at ${clock(access.session()?.expires ?? 0, true)}. ${newToken(flag)}</p>`}`);
}

async function start() {
  window.addEventListener('error', (event) => crashed(event.error));
  window.addEventListener('unhandledrejection', (event) => crashed(event.reason));
  access.open();
  onConnection((is) => {
    connected = is;
    announce(is ? 'Connected again.' : 'The connection is lost.');
    drawNotices();
  });
  await brand.load();
  access.nameTenantClaim(brand.tenantClaim);
  window.addEventListener('hashchange', (event) => {
    if (location.hash.includes('token=')) access.open(pathOf(new URL(event.oldURL).hash).replace(/^\/token$/, '/'));
    go();
  });
  // A link to what is shown shows it anew.
  frame.header.addEventListener('click', (event) => {
    const link = event.target instanceof Element && event.target.closest('a');
    if (link && link.getAttribute('href') === location.hash) {
      shown = '';
      go();
    }
  });
  // A key that is held down must not press what has come under it.
  document.addEventListener('keydown', (event) => {
    if (event.repeat && event.key === 'Enter' && event.target instanceof HTMLButtonElement) event.preventDefault();
  });
  document.querySelector('.skip')?.addEventListener('click', (event) => {
    event.preventDefault(); // the address names the view
    frame.view.focus();
  });
  setInterval(() => { if (!document.hidden) drawNotices(); }, 5000);
  go();
}

/** A fault of this page is said, not hidden. @param {unknown} error */
function crashed(error) {
  if (isAbort(error)) return;
  fault = String(error);
  drawNotices();
}

void start();
