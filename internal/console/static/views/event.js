import { html, render } from '../html.js';
import { call, Failure, isAbort, now, root } from '../api.js';
import { day, fromLocal, inOwnTime, time, toLocal } from '../format.js';
import { answer, badge, empty, failed, newId, json, loading } from '../ui.js';

const notFound = 'The event log has no event with this id, neither in the last 24 hours nor around the time that the id tells. Fill in about when it was published.';
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** @param {Failure} failure */
const isUnknown = (failure) => failure.status === 404 || failure.code === 'window_required';

/** Where an event is shown. An id tells its own time only if the service made it.
 * @param {string} id @param {string | null | undefined} publishedAt */
export const eventPath = (id, publishedAt) => `#/event/${id}${publishedAt ? `/${publishedAt}` : ''}`;

/** One event by its id, and what became of it at each integration. @type {import('../main.js').View} */
export function events(into, [id = '', at = ''], signal) {
  const publishedAt = Number.isNaN(Date.parse(at)) ? '' : at;
  const [field, about] = [newId(), newId()];
  const result = document.createElement('section');
  result.setAttribute('aria-label', 'The event');
  render(into, html`<h1>Find an event</h1>
    <form class="panel" role="search" @submit=${submit}>
      <label for=${field}>Event id</label>
      <input id=${field} name="id" value=${id} required spellcheck="false" autocomplete="off" size="40" placeholder="0197…">
      <label for=${about}>Published around <span class="quiet">needed only for some ids of your own</span></label>
      <input id=${about} name="at" type="datetime-local" step="1" value=${publishedAt && toLocal(Date.parse(publishedAt))}>
      <div class="buttons"><button class="primary">Find</button></div>
    </form>
    <div data-key="result">${result}</div>`);
  let search = new AbortController();
  signal.addEventListener('abort', () => search.abort());
  if (id) void find(id, publishedAt);
  return id ? `Event ${id}` : 'Find an event';

  /** @this {HTMLFormElement} @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    const data = new FormData(this);
    const wanted = String(data.get('id')).trim();
    const published = fromLocal(String(data.get('at') ?? ''));
    history.replaceState(null, '', eventPath(encodeURIComponent(wanted), published));
    void find(wanted, published);
  }

  /** @param {string} wanted @param {string} published */
  async function find(wanted, published) {
    search.abort();
    search = new AbortController();
    render(result, loading('the event'));
    try {
      if (!uuid.test(wanted)) throw new Failure(400, 'invalid_request', 'An event id is a UUID, such as 0197a3c2-5d1e-7c55-9f0a-2b8f6d1c0e11.');
      render(result, story(await look(wanted, published)));
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof Failure)) throw error;
      render(result, failed(isUnknown(error) ? new Failure(404, error.code, notFound, error.requestId) : error));
    }
  }

  /** Looks for an event at the time that is given, or that its id tells, or in the last 24 hours.
   * @param {string} wanted @param {string} published */
  async function look(wanted, published) {
    const ask = (/** @type {Record<string, string>} */ query) => call('get', `${root}/events/${wanted}`, { query, signal: search.signal, exact: true });
    try {
      return await ask({ published_at: published });
    } catch (error) {
      if (published || !(error instanceof Failure) || !isUnknown(error)) throw error;
      const to = now(); // once: the service takes no more than a day
      return ask({ from: new Date(to - day).toISOString(), to: new Date(to).toISOString() });
    }
  }
}

/** @param {import('../api.js').Schemas['Story']} told */
function story({ event, integrations }) {
  return html`
    <h2><bdi>${event.name}</bdi></h2>
    <p>Published ${time(event.published_at)}</p>
    ${integrations.length === 0 ? empty('No integrations', 'There is none that could get it.') : html`<div class="scroll" tabindex="0" role="region" aria-label="At each integration"><table class="cards">
      <thead><tr><th scope="col">Integration</th><th scope="col">Outcome</th><th scope="col">Why</th><th scope="col">Last attempt</th><th scope="col">Answer</th></tr></thead>
      <tbody>${integrations.map((one) => html`<tr data-key=${one.id}>
        <th scope="row"><a href="#/i/${one.id}">${one.id}</a></th>
        <td data-label="Outcome">${badge(one.verdict)}</td>
        <td data-label="Why"><bdi>${inOwnTime(one.because)}</bdi></td>
        <td data-label="Last attempt">${time(one.delivery?.last_attempt_at)}</td>
        <td data-label="Answer">${answer(one.delivery?.status_code, one.delivery?.cause)}</td>
      </tr>`)}</tbody></table></div>`}
    <h2>The event</h2>
    ${json(event)}`;
}
