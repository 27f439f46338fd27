import { html, render } from '../html.js';
import { call, pathOf } from '../api.js';
import { time } from '../format.js';
import { pages } from '../pages.js';
import { action, empty, failed, loading, newId } from '../ui.js';

/** @typedef {import('../api.js').Schemas['LogEntry']} Entry */

const limit = 50;
const actions = [
  'integration_created', 'integration_started', 'integration_stopped', 'integration_updated', 'retry_triggered',
  'delivery_recovered', 'event_rejected', 'rejected_event_retried', 'rejected_event_evicted', 'events_skipped',
  'event_skipped', 'position_moved', 'target_unreachable',
];

/** What happened to the integration, newest first. @param {Element} into @param {string} id @param {AbortSignal} signal */
export function log(into, id, signal) {
  const select = newId();
  let chosen = '';
  render(into, html`<h2 class="unseen">Log</h2>
    <div class="filter" data-keep data-key="filter"><span><label for=${select}>Show</label><select id=${select} @change=${choose}>
      <option value="">everything</option>${actions.map((name) => html`<option value=${name}>${words(name)}</option>`)}</select></span></div>
    <div data-key="list">${loading('the log')}</div>`);
  const list = /** @type {Element} */ (into.querySelector('[data-key="list"]'));

  const entries = pages(signal, {
    read: async (after) => {
      const page = await call('get', pathOf(id, '/logs'), { query: { action: chosen, limit, after }, signal });
      return { items: /** @type {Entry[]} */ (page.entries), next: page.next };
    },
    keyOf: (entry) => `${entry.created_at} ${entry.action} ${entry.reason}`,
    draw: (all, next) => render(list, [
      all.length > 0 ? ordered(all) : next ? '' : empty('No such entries', 'Entries are kept for 30 days.'),
      next && action({ label: 'Older entries', act: () => entries.more() }),
    ]),
    failed: (failure) => render(list, failed(failure, () => entries.refresh())),
  });

  /** @this {HTMLSelectElement} */
  function choose() {
    chosen = this.value;
    entries.restart();
  }
}

/** @param {Entry[]} all */
function ordered(all) {
  return html`<ol class="log">${all.map((entry) => html`<li><span class="when">${time(entry.created_at)}</span>
    <span class="what">${words(entry.action)}</span> <bdi class="why">${entry.reason}</bdi></li>`)}</ol>`;
}

/** "retry_triggered" as people say it. @param {string} action */
const words = (action) => action.replaceAll('_', ' ');
