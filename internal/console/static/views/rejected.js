import { html, render } from '../html.js';
import { call, isAbort, pathOf } from '../api.js';
import { count, plural, quoted, time } from '../format.js';
import { keepFresh, often } from '../live.js';
import { mayWrite } from '../session.js';
import { eventPath } from './event.js';
import { action, badge, confirm, dialog, empty, failed, json, loading, toast } from '../ui.js';

/** @typedef {import('../api.js').Schemas['RejectedEventList']['rejected_events'][number]} Rejected */

const limit = 50;
/** What one call of the API takes. */
const bulk = 100;

/** @param {unknown[]} some of the list @param {string | null} next the page after them */
const many = (some, next) => `${count(some.length)}${next ? '+' : ''}`;

/** How many rejected events an integration has: "3", or "50+"; '' if that cannot be read.
 * @param {string} id @param {AbortSignal} signal */
export async function howManyRejected(id, signal) {
  try {
    const page = await call('get', pathOf(id, '/rejected_events'), { query: { limit }, signal });
    return many(page.rejected_events, page.next);
  } catch {
    return '';
  }
}

/** Events that the receiver rejected, or that were skipped. 
 * @param {Element} into @param {string} id @param {AbortSignal} signal @param {(many: string) => void} tell how many they are */
export function rejected(into, id, signal, tell) {
  const path = pathOf(id, '/rejected_events');
  /** @type {Rejected[]} */
  let all = [];
  /** @type {string | null} */
  let next = null;
  let pages = 1;
  /** @type {Set<string>} */
  const chosen = new Set();

  render(into, html`<h2 class="unseen">Rejected events</h2><div data-key="list">${loading('rejected events')}</div>`);
  const list = /** @type {Element} */ (into.querySelector('[data-key="list"]'));

  const refresh = keepFresh(signal, often, async () => {
    await read();
    tell(many(all, next));
    draw();
  }, (failure) => render(list, failed(failure, () => refresh())));

  /** Reads as many pages as are shown. */
  async function read() {
    /** @type {Rejected[]} */
    let items = [];
    /** @type {string | null} */
    let after = null;
    for (let page = 0; page < pages; page++) {
      const answered = await call('get', path, { query: { limit, after }, signal });
      items = [...items, ...answered.rejected_events];
      after = answered.next;
      if (!after) break;
    }
    all = items;
    next = after;
    const there = new Set(all.map((one) => one.id));
    for (const one of chosen) if (!there.has(one)) chosen.delete(one);
  }

  function draw() {
    if (all.length === 0) {
      render(list, empty('No rejected events', 'An event that the receiver answers with 400, or that you skip, is kept here; the stream goes on.'));
      return;
    }
    render(list, html`
      ${mayWrite() && tools()}
      <div class="scroll" tabindex="0" role="region" aria-label="Rejected events"><table class="cards">
        <thead><tr>${mayWrite() && html`<th scope="col"><input type="checkbox" aria-label="Choose all" .checked=${chosen.size === all.length} @change=${chooseAll}></th>`}
          <th scope="col">Event</th><th scope="col">Why</th><th scope="col">When</th><th scope="col">Answer</th><th scope="col"><span class="unseen">Actions</span></th></tr></thead>
        <tbody>${all.map(row)}</tbody>
      </table></div>
      ${next && action({ label: 'More', act: async () => { pages++; await read(); draw(); } })}`);
  }

  function tools() {
    const ids = [...chosen];
    const n = ids.length;
    // The two have their own buttons: "Retry 3" must not become "Retry all" under the reader's hand.
    return html`<div class="buttons" role="group" aria-label="Several at once" data-key="tools">
      ${n > 0 && action({ key: 'retry', label: `Retry ${n}`, act: () => retry(ids) })}
      ${n > 0 && html`<button type="button" class="danger" data-key="delete" @click=${() => askDelete(ids)}>Delete ${n} …</button>`}
      ${n === 0 && html`<button type="button" data-key="retry-all" @click=${askRetryAll}>Retry all …</button>
        <button type="button" class="danger" data-key="delete-all" @click=${() => askDelete(null)}>Delete all …</button>`}
    </div>`;
  }

  /** @param {Rejected} one */
  function row(one) {
    const name = `${one.event_name ?? 'event'} ${one.id.slice(-4)}`; // there may be several of one name
    return html`<tr data-key=${one.id}>
      ${mayWrite() && html`<td><input type="checkbox" aria-label="Choose ${name}" .checked=${chosen.has(one.id)} @change=${() => choose(one.id)}></td>`}
      <th scope="row"><bdi>${one.event_name ?? 'event'}</bdi> <code class="id">${one.id}</code></th>
      <td data-label="Why">${badge(one.reason ?? 'rejected')}</td>
      <td data-label="When">${time(one.created_at)}</td>
      <td data-label="Answer">${one.status_code ?? '–'}</td>
      <td><div class="buttons"><button type="button" class="small" aria-label="View ${name}" @click=${() => look(one.id)}>View</button>
        ${mayWrite() && html`${action({ label: 'Retry', name: `Retry ${name}`, kind: 'small', act: () => retryOne(one.id) })}
          <button type="button" class="small danger" aria-label="Delete ${name}" @click=${() => askDelete([one.id])}>Delete …</button>`}</div></td>
    </tr>`;
  }

  /** @param {string} event */
  function choose(event) {
    if (!chosen.delete(event)) chosen.add(event);
    draw();
  }

  function chooseAll() {
    const some = chosen.size < all.length;
    chosen.clear();
    if (some) for (const one of all) chosen.add(one.id);
    draw();
  }

  /** @param {string} event */
  function look(event) {
    dialog('The event as it was sent', (close) => {
      const body = document.createElement('div');
      render(body, loading('the event'));
      call('get', `${path}/${encodeURIComponent(event)}`, { signal }).then((found) => render(body, html`${json(found)}
        <p><a href=${eventPath(found.id, found.published_at)} @click=${close}>What became of it at each integration</a></p>`), (failure) => {
        if (!isAbort(failure)) render(body, failed(failure));
      });
      return html`${body}<div class="buttons"><button type="button" @click=${close}>Close</button></div>`;
    });
  }

  /** @param {string} event */
  async function retryOne(event) {
    await call('post', `${path}/${encodeURIComponent(event)}/_retry`, { slow: true });
    toast('Delivered. It has left the list.');
    refresh();
  }

  function askRetryAll() {
    confirm(`Retry all rejected events of ${id}?`, html`<p>Each is sent to the receiver again. Those that it takes leave the list.</p>`, 'Retry all', () => retry(null));
  }

  /** Retries events in as many calls as it takes; all of them until a call delivers none.
   * @param {string[] | null} ids null for all */
  async function retry(ids) {
    let delivered = 0;
    /** @type {{ id: string, cause: string }[]} */
    let failures = [];
    for (const body of bodies(ids)) {
      const answered = await call('post', path + '/_retry', { body, signal, slow: true });
      delivered += answered.delivered.length;
      failures = ids ? [...failures, ...answered.failed] : answered.failed; // a failed one stays, and is tried again
      if (!ids && (answered.remaining === 0 || answered.delivered.length === 0)) break;
    }
    const why = failures.length > 0 ? ` First error: ${quoted(failures[0].cause)}.` : '';
    toast(`${plural(delivered, 'event')} delivered, ${failures.length} failed.${why}`);
    chosen.clear();
    refresh();
  }

  /** What calls of the API are to do: so many events each, or again and again for all.
   * @param {string[] | null} ids */
  function* bodies(ids) {
    if (!ids) for (;;) yield { all: true };
    for (let i = 0; i < ids.length; i += bulk) yield { event_ids: ids.slice(i, i + bulk) };
  }

  /** @param {string[] | null} ids null for all */
  function askDelete(ids) {
    const what = ids ? plural(ids.length, 'event') : 'all rejected events';
    confirm(`Delete ${what} of ${id}?`, html`<p>It cannot be undone. While the event log keeps an event, a replay can send it again.</p>`, 'Delete', async () => {
      for (const body of bodies(ids)) {
        const { remaining } = await call('post', path + '/_delete', { body, signal, slow: true });
        if (!ids && remaining === 0) break;
      }
      toast('Deleted.');
      chosen.clear();
      refresh();
    }, 'danger');
  }
}
