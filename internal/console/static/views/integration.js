import { html, render } from '../html.js';
import { call, estimate, now, pathOf } from '../api.js';
import { brand } from '../brand.js';
import { positionBar } from '../charts.js';
import { ago, count, plural, size } from '../format.js';
import { keepFresh, often } from '../live.js';
import { mayWrite } from '../session.js';
import { sentence, stateOf } from '../sentences.js';
import { action, badge, failed, loading } from '../ui.js';
import { eventPath } from './event.js';
import { askDelete, askSkip, askStart, askTest, start, stop, tryNow } from './actions.js';
import { deliveries } from './deliveries.js';
import { log } from './log.js';
import { howManyRejected, rejected } from './rejected.js';

/** @typedef {import('../api.js').Integration} Integration */
/** @typedef {import('../api.js').Health} Health */

/** How often it is asked what the log has, in ms: that costs a look at it. */
const keptEvery = 60000;
/** What each tab shows; that of rejected events tells how many there are.
 * @type {Record<string, [string, (into: Element, id: string, signal: AbortSignal, tell: (many: string) => void) => void]>} */
const tabs = { deliveries: ['Deliveries', deliveries], rejected: ['Rejected events', rejected], log: ['Log', log] };

/** One integration: how it is, what to do about it, and what happened. @type {import('../main.js').View} */
export function integration(into, [id, tab = 'deliveries'], signal) {
  /** @type {Kept} */
  let kept = { oldest: now() - brand.retention, total: null };
  let keptAt = -Infinity; // when it was asked for
  let rejections = ''; // how many there are
  /** @type {[Integration, Health] | null} what was read last */
  let last = null;

  if (!into.querySelector(`[data-key="top"]`)) {
    render(into, html`
      <div data-key="top" data-keep class="top"><h1><bdi>${id}</bdi></h1>${loading('the integration')}</div>
      <div data-key="tabs"></div>
      <section data-key="tab" aria-live="off"></section>`);
  }
  const [top, bar, body] = /** @type {HTMLElement[]} */ ([...into.children]);
  render(bar, tabBar(id, tab, rejections));
  const holder = document.createElement('div');
  body.replaceChildren(holder);

  const refresh = keepFresh(signal, often, async () => {
    const [fresh, health] = await Promise.all([
      call('get', pathOf(id), { signal }), call('get', pathOf(id, '/health'), { signal }),
    ]);
    if (now() - keptAt > keptEvery || (kept.oldest === null && health.delivered_through)) void ask(fresh);
    bar.hidden = body.hidden = false;
    last = [fresh, health];
    draw();
  }, (failure) => {
    last = null;
    bar.hidden = body.hidden = true; // it would say the same again
    render(top, html`<h1><bdi>${id}</bdi></h1>${failed(failure, () => refresh())}`);
  });
  tabs[tab][1](holder, id, signal, (many) => {
    rejections = many;
    render(bar, tabBar(id, tab, rejections));
  });
  return id;

  function draw() {
    if (last) render(top, page(...last, kept, refresh));
  }

  /** @param {Integration} one */
  async function ask(one) {
    keptAt = now();
    const [fresh, many] = await Promise.all([whatIsKept(one, signal), tab === 'rejected' ? rejections : howManyRejected(id, signal)]);
    if (signal.aborted) return;
    kept = fresh;
    if (tab !== 'rejected') { // which tells it itself
      rejections = many;
      render(bar, tabBar(id, tab, rejections));
    }
    draw();
  }
}

/** @param {string} id @param {string} tab @param {string} rejections how many there are, '' if it is not known */
function tabBar(id, tab, rejections) {
  return html`<nav class="tabs" aria-label="About this integration">${Object.entries(tabs).map(([name, [label]]) =>
    html`<a href="#/i/${id}/${name}" aria-current=${name === tab ? 'page' : null}>${label}${name === 'rejected' && rejections && ` (${rejections})`}</a>`)}</nav>`;
}

/**
 * What the log has: the time of its oldest event in ms since 1970, null if it has none, and how many
 * events a replay of the past sends, null if that is not known.
 * @typedef {{ oldest: number | null, total: number | null }} Kept
 */

/** @param {Integration} one @param {AbortSignal} signal @returns {Promise<Kept>} */
async function whatIsKept(one, signal) {
  const edge = now() - brand.retention;
  const span = one.ends_at
    ? { starts_at: one.starts_at, ends_at: one.ends_at, ...(one.filter_conditions && { filter_conditions: one.filter_conditions }) }
    : { starts_at: new Date(edge).toISOString(), ends_at: new Date(edge + 1).toISOString() };
  const past = one.ends_at && Date.parse(one.ends_at) < now();
  try {
    const told = await estimate(span, signal);
    return { oldest: told.oldest_available ? Date.parse(told.oldest_available) : null, total: past && told.exact ? told.events : null };
  } catch {
    return { oldest: edge, total: null };
  }
}

/** @param {Integration} one @param {Health} health @param {Kept} kept @param {() => void} refresh */
function page(one, health, { oldest, total }, refresh) {
  const state = stateOf(one, health);
  const ms = (/** @type {string | null | undefined} */ at) => (at ? Date.parse(at) : null);
  // What is through is told by the last event; if none waits, nothing has come since.
  const upToDate = health.behind.events === 0 && one.integration_type === 'permanent';
  return html`
    <div class="title"><h1><bdi>${one.id}</bdi></h1>${badge(state)}</div>
    <p class="sentence ${state}" data-key="sentence">${sentence(one, health, brand.retention)}</p>
    ${health.failing && waitsFor(one, health, refresh)}
    ${health.progress && progress(health.progress, total)}
    ${mayWrite() && actions(one, health, refresh)}
    ${positionBar({ oldest, startsAt: ms(one.starts_at), endsAt: ms(one.ends_at), position: upToDate ? now() : ms(health.delivered_through), waits: !upToDate })}
    ${facts(one, health)}`;
}

/** @param {Integration} one @param {Health} health @param {() => void} refresh */
function waitsFor(one, { failing, behind }, refresh) {
  if (!failing) return '';
  const { event_id: id, event_name: name } = failing;
  return html`<div class="notice bad" data-key="waits">
    ${id && html`<p>It waits for the event <a href=${eventPath(id, behind.oldest_published_at)}><code>${id}</code></a> <bdi>${name}</bdi>.
      ${plural(failing.attempts, 'attempt')} failed in this outage. ${advice(failing)}</p>`}
    <p class="quiet"><bdi>${failing.cause}</bdi></p>
    ${mayWrite() && html`<div class="buttons">${action({ label: 'Restart to try now', act: () => tryNow(one.id, refresh) })}
      ${id && !one.s3_parameters && html`<button type="button" @click=${() => askSkip(one.id, id, name ?? '', refresh)}>Skip this event …</button>`}</div>`}
  </div>`;
}

/** What may help, by the answer of the receiver. @param {NonNullable<Health['failing']>} failing */
function advice({ status_code: status, cause }) {
  if (!status && !cause?.startsWith('no response')) return 'No event gets through until your receiver can be reached.';
  if ([401, 403, 404, 405].includes(status ?? 0)) return 'Every event may get this answer: check the URL and the API key first.';
  return 'If your receiver can never accept this event, skip it to continue.';
}

/** How much of a replay is done: of its events, or of its time as long as their number is not known.
 * @param {NonNullable<Health['progress']>} progress @param {number | null} total */
function progress({ fraction: ofTime, read, filtered, delivered, rejected, skipped }, total) {
  const fraction = total ? Math.min((delivered + rejected + skipped) / total, 1) : ofTime;
  return html`<div class="progress" data-key="progress">
    <progress max="1" value=${fraction} aria-label="Progress of the replay"></progress>
    <p>${Math.floor(fraction * 100)} %: ${count(read)} read, ${count(filtered)} filtered out, ${count(delivered)} delivered,
      ${count(rejected)} rejected, ${count(skipped)} skipped</p></div>`;
}

/** @param {Integration} one @param {Health} health @param {() => void} refresh */
function actions(one, health, refresh) {
  const replay = one.integration_type === 'temporary';
  const stopped = one.status === 'stopped';
  const complete = health.state === 'complete';
  return html`<div class="buttons" role="group" aria-label="Actions" data-key="actions">
    ${!stopped && one.status !== 'stopping' && action({ key: 'stop', label: replay ? 'Pause' : 'Stop', act: () => stop(one.id, refresh, replay ? 'paused' : 'stopped') })}
    ${stopped && !complete && action({ key: 'start', label: replay ? 'Resume' : 'Start', kind: 'primary', act: () => start(one.id, {}, refresh) })}
    ${stopped && !replay && html`<button type="button" data-key="from" @click=${() => askStart(one, refresh)}>Start from …</button>`}
    <button type="button" data-key="test" @click=${() => askTest(one)}>Send a test event …</button>
    ${!replay && (stopped
      ? html`<a class="button" data-key="edit" href="#/i/${one.id}/edit">Edit</a>`
      : html`<button type="button" data-key="no-edit" disabled title="Stop it first">Edit (stop it first)</button>`)}
    <button type="button" class="danger" data-key="delete" @click=${() => askDelete(one, replay && !complete)}>${replay && !complete ? 'Cancel …' : 'Delete …'}</button>
  </div>`;
}

/** @param {Integration} one @param {Health} health */
function facts(one, health) {
  const { filter_conditions: filter, callback_parameters: webhook, s3_parameters: s3 } = one;
  const names = [...(filter?.event_filter ?? []), ...(filter?.entity_filter ?? []).map((entity) => `${entity}.*`)];
  return html`<dl class="facts" data-key="facts">
    <dt>Target</dt><dd><bdi class="target">${webhook ? webhook.callback_url : `s3://${s3?.bucket}/${s3?.key_prefix ?? ''}`}</bdi></dd>
    ${s3?.endpoint && html`<dt>Endpoint</dt><dd><bdi>${s3.endpoint}</bdi></dd>`}
    <dt>Events</dt><dd>${names.length === 0 ? 'all' : names.map((name, i) => html`${i > 0 && ', '}<code>${name}</code>`)}</dd>
    ${webhook && html`<dt>Signed</dt><dd>${webhook.signing_secret ? 'yes' : 'no'}</dd>`}
    <dt>Behind by</dt><dd>${plural(health.behind.events, 'event')}, ${size(health.behind.bytes)}</dd>
    <dt>Last delivery</dt><dd>${ago(health.last_delivered_at)}</dd>
  </dl>`;
}
