import { html, render } from '../html.js';
import { call, now, pathOf, root } from '../api.js';
import { fromLocal, span, time } from '../format.js';
import { pages, unlessDrawn } from '../pages.js';
import { may } from '../session.js';
import { action, answer, badge, confirm, empty, failed, loading, newId, onLoopback, toast } from '../ui.js';
import { eventPath } from './event.js';

/** A delivery, and whether a retry has delivered it after it was rejected or skipped.
 * @typedef {import('../api.js').Schemas['Delivery'] & { retried: boolean }} Delivery */
/** @typedef {{ event_id: string, event_name: string, outcome: string, from: string, to: string }} Filter */

const limit = 50;
const outcomes = ['delivered', 'rejected', 'skipped', 'retrying'];
/** @type {Filter} */
const everything = { event_id: '', event_name: '', outcome: '', from: '', to: '' };

/** What was sent, newest first. @param {Element} into @param {string} id @param {AbortSignal} signal */
export function deliveries(into, id, signal) {
  let filter = everything;
  const withRetries = retriesOf(id, signal);
  render(into, html`<h2 class="unseen">Deliveries</h2>
    <div data-keep data-key="filter">${filterForm((chosen) => {
      filter = chosen;
      sent.restart();
    })}</div>
    ${may('events:publish') && html`<div class="buttons"><button type="button" @click=${askPublish}>Publish a sample event …</button></div>`}
    <div data-key="list">${loading('deliveries')}</div>`);
  const list = /** @type {Element} */ (into.querySelector('[data-key="list"]'));

  const sent = pages(signal, {
    read: async (after) => {
      const page = await call('get', pathOf(id, '/deliveries'), { query: { ...filter, limit, after }, signal });
      return { items: await withRetries(page.deliveries), next: page.next };
    },
    keyOf,
    changes: (delivery) => delivery.outcome === 'retrying',
    draw: (parts, next) => render(list, [
      parts.length > 0 ? table(list, parts) : next ? html`<p>None among the newest.</p>` : nothing(filter, id),
      next && action({ label: 'Older deliveries', act: () => sent.more() }),
    ]),
    failed: (failure) => render(list, failed(failure, () => sent.refresh())),
  });

  function askPublish() {
    confirm('Publish a sample event?', html`<p>One <code>order.created</code> goes to every integration of this tenant whose filter it passes.</p>`, 'Publish', async () => {
      await call('post', root + '/events', { body: { name: 'order.created', payload: { order_id: 'sample-1', total: 4200 } } });
      toast('Published order.created.');
      sent.refresh();
    });
  }
}

/** @param {Filter} filter @param {string} id */
function nothing(filter, id) {
  if (Object.values(filter).some(Boolean)) return empty('No matching deliveries', 'Change or clear the filter.');
  return empty('No deliveries yet', html`<p>They appear here as events are sent. Your platform publishes them by <code>POST /api/v1/org/events</code>,
    or by hand with <code>${onLoopback && 'bin/'}sluice publish</code>. Test events are not listed, nor are attempts that failed before a stop: <a href="#/i/${id}/log">the log</a> has those.</p>`);
}

/** How often the log is read for retries, in ms, as long as the same events were set aside. */
const retriesEvery = 60000;

/** @param {import('../api.js').Schemas['Delivery']} one */
const isAside = ({ outcome }) => outcome === 'rejected' || outcome === 'skipped';

/** Tells of deliveries whether they were retried: that is in the log, of which the newest entries count. It is read
 * only if it could matter. @param {string} id @param {AbortSignal} signal */
function retriesOf(id, signal) {
  /** @type {{ reason: string, created_at: string }[]} */
  let retries = [];
  let asked = ''; // of these events
  let askedAt = -Infinity;

  /** @param {import('../api.js').Schemas['Delivery'][]} deliveries @returns {Promise<Delivery[]>} */
  return async (deliveries) => {
    const aside = deliveries.filter(isAside).map((one) => one.event_id).join();
    if (aside !== '' && (aside !== asked || now() - askedAt > retriesEvery)) {
      [asked, askedAt] = [aside, now()];
      const answered = await call('get', pathOf(id, '/logs'), { query: { action: 'rejected_event_retried', limit: 200 }, signal }).catch(() => null);
      retries = answered?.entries ?? retries; // the deliveries are more than this
    }
    return deliveries.map((one) => ({ ...one, retried: isAside(one) && retries.some(({ reason, created_at: at }) =>
      one.event_id !== null && reason.includes(one.event_id) && Date.parse(at) >= Date.parse(one.last_attempt_at ?? at)) }));
  };
}

/** An event that is retried stays the same row. @param {Delivery} one */
const keyOf = (one) => [one.event_id ?? one.file, one.outcome, one.outcome === 'retrying' ? '' : one.last_attempt_at].join(' ');

/** @param {(filter: Filter) => void} change */
function filterForm(change) {
  const ids = { name: newId(), outcome: newId(), from: newId(), to: newId(), event: newId() };
  return html`<form class="filter" role="search" aria-label="Filter deliveries" @submit=${apply} @reset=${() => change(everything)}>
    <span><label for=${ids.name}>Name</label><input id=${ids.name} name="event_name" placeholder="order.created" spellcheck="false"></span>
    <span><label for=${ids.outcome}>Outcome</label><select id=${ids.outcome} name="outcome" @change=${choose}><option value="">any</option>
      ${outcomes.map((outcome) => html`<option value=${outcome}>${outcome}</option>`)}</select></span>
    <span class="buttons"><button>Filter</button><button type="reset">Clear</button></span>
    <details><summary>By time or event id</summary><div class="filter">
      <span><label for=${ids.from}>From</label><input id=${ids.from} name="from" type="datetime-local" step="1"></span>
      <span><label for=${ids.to}>To</label><input id=${ids.to} name="to" type="datetime-local" step="1"></span>
      <span><label for=${ids.event}>Event id</label><input id=${ids.event} name="event_id" spellcheck="false" size="36"></span>
    </div></details>
  </form>`;

  /** @this {HTMLSelectElement} */
  function choose() {
    this.form?.requestSubmit();
  }

  /** @this {HTMLFormElement} @param {Event} event */
  function apply(event) {
    event.preventDefault();
    const data = new FormData(this);
    const text = (/** @type {string} */ name) => String(data.get(name) ?? '').trim();
    change({
      event_id: text('event_id'), event_name: text('event_name'), outcome: text('outcome'),
      from: fromLocal(text('from')), to: fromLocal(text('to'), 999),
    });
  }
}

/** @param {Element} list @param {import('../pages.js').Part<Delivery>[]} parts */
function table(list, parts) {
  const files = parts.some(({ items }) => items.some((one) => one.file !== null));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Deliveries"><table class="cards">
    <thead><tr><th scope="col">Event</th><th scope="col">Outcome</th><th scope="col">Last attempt</th>
      <th scope="col">Attempts</th><th scope="col">Answer</th><th scope="col">Took</th>${files && html`<th scope="col">File</th>`}</tr></thead>
    ${parts.map((part) => {
      const key = `${part.key}${files ? '-files' : ''}`;
      return html`<tbody data-key=${key} ?data-keep=${part.settled}>${unlessDrawn(list, key, part, (one) => row(one, files))}</tbody>`;
    })}
  </table></div>`;
}

/** Of several that failed side by side the first is tried until it is through, and then the others: their own answers
 * are not kept. @param {Delivery} one */
const waitsForAnother = (one) => one.outcome === 'retrying' && !one.status_code && !one.cause;

/** @param {Delivery} one @param {boolean} files whether the table has a column for them */
function row(one, files) {
  return html`<tr data-key=${keyOf(one)}>
    <th scope="row">${one.event_id ? html`<a href=${eventPath(one.event_id, one.published_at)}><bdi>${one.event_name ?? one.event_id}</bdi></a> <code class="id">${one.event_id}</code>` : 'file'}</th>
    <td data-label="Outcome">${badge(one.outcome)}${one.retried && html` <span class="quiet">then delivered by a retry</span>`}</td>
    <td data-label="Last attempt">${time(one.last_attempt_at)}</td>
    <td data-label="Attempts">${one.attempts}</td>
    <td data-label="Answer">${waitsForAnother(one) ? html`<span class="quiet">waits for the one before it</span>` : answer(one.status_code, one.cause)}</td>
    <td data-label="Took">${one.took_ms === null ? '–' : span(one.took_ms ?? 0)}</td>
    ${files && html`<td data-label="File"><bdi class="target">${one.file}</bdi></td>`}
  </tr>`;
}
