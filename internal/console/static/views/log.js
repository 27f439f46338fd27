import { html, render } from '../html.js';
import { call, pathOf } from '../api.js';
import { day, inOwnTime, time } from '../format.js';
import { pages, unlessDrawn } from '../pages.js';
import { action, empty, failed, loading, newId } from '../ui.js';
import { eventPath } from './event.js';

/** @typedef {import('../api.js').Schemas['LogEntry']} Entry */

const limit = 50;
/** How many entries an older page has, the most that a call gives, and how many of them are kept. */
const olderLimit = 200;
const most = 20000;
/** What each action of the log is called. @type {Record<string, string>} */
const actions = {
  integration_created: 'Registered',
  integration_started: 'Started',
  integration_stopped: 'Stopped',
  integration_updated: 'Changed',
  retry_triggered: 'Attempt failed',
  delivery_recovered: 'Delivering again',
  event_rejected: 'Event rejected',
  event_skipped: 'Event skipped',
  rejected_event_retried: 'Rejected event retried',
  rejected_event_deleted: 'Rejected event deleted',
  rejected_event_evicted: 'Rejected event evicted',
  events_skipped: 'Events left out',
  position_moved: 'Start moved',
  target_unreachable: 'Target unreachable',
};

/** What happened to the integration, newest first. @param {Element} into @param {string} id @param {AbortSignal} signal */
export function log(into, id, signal) {
  const select = newId();
  let chosen = '';
  render(into, html`<h2 class="unseen">Log</h2>
    <div class="filter" data-keep data-key="filter"><span><label for=${select}>Show</label><select id=${select} @change=${choose}>
      <option value="">everything</option>${Object.entries(actions).map(([action, name]) => html`<option value=${action}>${name}</option>`)}</select></span></div>
    <div data-key="list">${loading('the log')}</div>`);
  const list = /** @type {Element} */ (into.querySelector('[data-key="list"]'));

  const entries = pages(signal, {
    read: async (after) => {
      const page = await call('get', pathOf(id, '/logs'), { query: { action: chosen, limit: after ? olderLimit : limit, after }, signal });
      return { items: /** @type {Entry[]} */ (page.entries), next: page.next };
    },
    keyOf: (entry) => `${entry.created_at} ${entry.action} ${entry.reason}`,
    most,
    draw: (parts, next) => render(list, [
      parts.length > 0 ? ordered(list, parts) : next ? '' : empty('No such entries', 'Entries are kept for 30 days.'),
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

/** A list for each part. @param {Element} list @param {import('../pages.js').Part<Entry>[]} parts */
function ordered(list, parts) {
  return html`<div class="log">${parts.map((part) => html`<ol data-key=${part.key} ?data-keep=${part.settled}>${unlessDrawn(list, part.key, part, item)}</ol>`)}</div>`;
}

/** @param {Entry} entry */
const item = (entry) => html`<li><span class="when">${time(entry.created_at)}</span>
  <span class="what">${actions[entry.action] ?? entry.action}</span> <bdi class="why">${told(entry)}</bdi></li>`;

const ids = /\b([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b/i;

/** When an event was published. An id that the service gave tells it, in the first 48 bits of version 7. One that the
 * platform gave may tell a time of its own; its event was published about when the entry was written, unless it waited long.
 * @param {string} id @param {Entry} entry */
function publishedAbout(id, entry) {
  const written = Date.parse(entry.created_at);
  const told = id[14] === '7' ? parseInt(id.slice(0, 8) + id.slice(9, 13), 16) : NaN;
  return told > written - 34 * day && told < written + 60000 ? null : entry.created_at;
}

/** A reason, with the ids of events in it as links. @param {Entry} entry */
const told = (entry) => entry.reason.split(ids).map((text, i) => (i % 2 === 0 ? inOwnTime(text)
  : html`<a href=${eventPath(text, publishedAbout(text, entry))}>${text}</a>`));
