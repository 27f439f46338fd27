import { html, render } from '../html.js';
import { base, call, now } from '../api.js';
import { rejections, sparkline } from '../charts.js';
import { ago, count, target, until } from '../format.js';
import { keepFresh, often } from '../live.js';
import { mayWrite } from '../session.js';
import { behindBy, stateOf } from '../sentences.js';
import { badge, empty, failed, loading, onLoopback } from '../ui.js';

/** @typedef {import('../api.js').Integration} Integration */

const activityEvery = 60000;
/** How many rows are drawn at once: more than a screen has, and few enough for a frame or two. */
const atOnce = 100;

/** All integrations of the tenant, a row each. @type {import('../main.js').View} */
export function integrations(into, _, signal) {
  /** @type {Map<string, import('../api.js').Activity | null | undefined>} */
  const activity = new Map();
  let activityAt = -Infinity;
  /** @type {Integration[] | null} */
  let shown = null;

  render(into, html`<h1>Integrations</h1>${loading('integrations')}`);
  const refresh = keepFresh(signal, often, async () => {
    // What the last day had changes slowly, and costs more than the rest.
    const withActivity = now() - activityAt >= activityEvery;
    const include = withActivity ? 'health,activity' : 'health';
    /** @type {{ integrations: Integration[] }} */
    const { integrations: all } = await call('get', base, { query: { include }, signal });
    if (withActivity) {
      activityAt = now();
      activity.clear();
      for (const one of all) activity.set(one.id, one.activity);
    }
    const before = shown;
    shown = all;
    if (before) render(into, page(all, activity));
    else await drawInParts(all);
  }, (failure) => {
    // What was there a moment ago is better than nothing.
    const before = failure.status >= 429 && shown;
    const notice = failed(failure, () => refresh());
    render(into, before ? html`<div data-key="failed">${notice}</div>${page(before, activity)}` : html`<h1>Integrations</h1>${notice}`);
  });
  return 'Integrations';

  /** Draws many rows so that the first are seen before the last are made. Until then no refresh begins.
   * @param {Integration[]} all */
  async function drawInParts(all) {
    render(into, page(all, activity, atOnce));
    for (let i = atOnce; i < all.length; i += atOnce) {
      await painted();
      if (signal.aborted) return;
      into.querySelector('tbody')?.append(...all.slice(i, i + atOnce).map((one) => row(one, activity.get(one.id))));
    }
  }
}

/** Resolves when the browser has shown what was drawn. */
const painted = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));

/** @param {Integration[]} all @param {Map<string, any>} activity @param {number} [most] rows to draw */
function page(all, activity, most) {
  return html`
    <div class="title" data-key="title"><h1>Integrations</h1>${mayWrite() && html`<a class="button primary" href="#/new">New integration</a>`}</div>
    ${all.length === 0 ? none() : table(all, activity, most)}`;
}

function none() {
  if (!mayWrite()) return empty('No integrations yet', html`<p>Your token is read-only. Ask someone with write access to add one.</p>`);
  return empty('No integrations yet', html`
    <p>An integration sends every event to your webhook or to your S3 bucket.</p>
    <p><a class="button primary" href="#/new">Register the first one</a></p>
    ${onLoopback && html`<p class="quiet">No receiver at hand? <code>bin/sluice listen</code> is one: it prints what arrives at
      <code>http://127.0.0.1:9000/</code>.</p>`}`);
}

/** @param {Integration[]} all @param {Map<string, any>} activity @param {number} [most] */
function table(all, activity, most) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Integrations"><table class="integrations cards" aria-rowcount=${all.length + 1}>
    <thead><tr><th scope="col">Id</th><th scope="col">State</th><th scope="col">Target</th><th scope="col">Behind by</th>
      <th scope="col">Last 24 h</th><th scope="col">Last delivery</th><th scope="col">Next attempt</th></tr></thead>
    <tbody>${all.slice(0, most).map((one) => row(one, activity.get(one.id)))}</tbody>
  </table></div>
  <p class="legend quiet">Last 24 h, by the hour: <span class="delivered">■</span> delivered <span class="rejected">■</span> rejected <span class="failed">■</span> failed attempts</p>`;
}

/** @param {Integration} one @param {import('../api.js').Activity | null | undefined} activity */
function row(one, activity) {
  const { health } = one;
  const rejected = rejections(activity);
  const state = health ? stateOf(one, health) : one.status;
  return html`<tr data-key=${one.id}>
    <th scope="row"><a href="#/i/${one.id}">${one.id}</a>${one.integration_type === 'temporary' && html` <span class="quiet">replay</span>`}</th>
    <td data-label="State">${badge(state)}</td>
    <td data-label="Target"><bdi class="target">${target(one)}</bdi></td>
    <td data-label="Behind by">${health ? behindBy(health) : '–'}</td>
    <td data-label="Last 24 h">${sparkline(activity, health?.failing)}${rejected > 0 && html` <a class="rejections" href="#/i/${one.id}/rejected" title="in the last 24 hours">${count(rejected)} rejected</a>`}</td>
    <td data-label="Last delivery">${ago(health?.last_delivered_at)}</td>
    <td data-label="Next attempt">${until(health?.failing?.next_attempt_at)}</td>
  </tr>`;
}
