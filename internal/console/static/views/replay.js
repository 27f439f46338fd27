import { html, render } from '../html.js';
import { base, call, estimate, Failure, isAbort, now } from '../api.js';
import { form, idForm, input, inWordsOf, textOf } from '../fields.js';
import { filterField } from '../filter.js';
import { clock, fromLocal, hour, inOwnTime, plural, size, span, toLocal } from '../format.js';
import { chosenKind, newTarget, readTarget, sameTarget } from '../target.js';
import { toast } from '../ui.js';

/** How long typing must pause before an estimate is asked for, in ms. */
export const pause = 400;

/** Registers a replay: what was published from one time to another, sent again. @type {import('../main.js').View} */
export function replay(into, _, signal) {
  const place = document.createElement('div');
  place.setAttribute('role', 'status');
  place.className = 'estimate';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let asked = new AbortController();
  const filter = filterField(null, signal, () => later());
  signal.addEventListener('abort', () => { clearTimeout(timer); asked.abort(); });

  render(into, html`<h1>Replay</h1>
    ${form({
      label: 'Replay',
      button: 'Start the replay',
      more: html`<a class="button" href="#/">Cancel</a>`,
      content: html`
        <p>Sends what was published in a span of time again, alongside live delivery. It stops by itself, and you can pause or cancel it.</p>
        <div class="pair">
          ${input({ field: 'starts_at', label: 'From', type: 'datetime-local', required: true, value: toLocal(now() - hour) })}
          ${input({ field: 'ends_at', label: 'To', type: 'datetime-local', required: true, value: toLocal(now()) })}
        </div>
        <p class="choice" role="group" aria-label="Spans">${[['The last hour', 1], ['The last day', 24], ['The last week', 168]].map(([label, hours]) =>
          html`<button type="button" class="small" @click=${choose(Number(hours))}>${label}</button>`)}</p>
        ${input({ field: 'id', label: 'Id', required: true, pattern: '[a-z0-9\\-]{1,50}', maxlength: 50, title: idForm, value: `replay-${new Date(now()).toISOString().slice(0, 19).replace(/[:t]/gi, '-')}` })}
        ${newTarget(sameTarget(signal))}
        ${filter.node}
        <div data-keep>${place}</div>`,
      changed: () => later(),
      submit,
    })}`);
  later();
  return 'Replay';

  /** @param {number} hours */
  function choose(hours) {
    return () => {
      field('starts_at').value = toLocal(now() - hours * hour);
      field('ends_at').value = toLocal(now());
      later();
    };
  }

  /** @param {string} name */
  function field(name) {
    return /** @type {HTMLInputElement} */ (into.querySelector(`[name="${name}"]`));
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(ask, pause);
  }

  /** Shows what would be sent. The target is not looked at, so it may still be empty. */
  async function ask() {
    const element = into.querySelector('form');
    if (!element || signal.aborted) return;
    asked.abort();
    asked = new AbortController();
    const body = bodyOf(element);
    if (!body.starts_at || !body.ends_at) return;
    try {
      render(place, estimated(await estimate(body, asked.signal)));
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof Failure)) throw error;
      render(place, html`<p class="quiet">${inOwnTime(inWordsOf(element, error.message))}</p>`);
    }
  }

  /** @param {HTMLFormElement} element @param {boolean} typed */
  function bodyOf(element, typed = false) {
    const conditions = filter.read(typed);
    return {
      id: textOf(element, 'id'),
      integration_type: 'temporary',
      starts_at: fromLocal(textOf(element, 'starts_at')),
      ends_at: fromLocal(textOf(element, 'ends_at'), 999), // it is inclusive
      ...(conditions && { filter_conditions: conditions }),
    };
  }

  /** @param {HTMLFormElement} element */
  async function submit(element) {
    const { id } = await call('post', base, { body: { ...bodyOf(element, true), ...readTarget(element, chosenKind(element)) } });
    toast(`The replay ${id} has started.`);
    if (signal.aborted) return;
    location.hash = `#/i/${id}`;
  }
}

/** How much is sent. @param {import('../api.js').Schemas['Estimate']} told */
export function estimated(told) {
  if (told.events === 0) return html`<p><strong>No events</strong> were published then that pass the filter.</p>`;
  const about = told.exact ? '' : 'about ';
  return html`<p><strong>${about}${plural(told.events, 'event')}</strong>, ${size(told.bytes)}${told.seconds !== null && told.seconds !== undefined && html`,
    in at least ${span(told.seconds * 1000)}`}${told.first_at && html`; from ${clock(Date.parse(told.first_at), true)}`}${told.last_at && html` to ${clock(Date.parse(told.last_at), true)}`}.</p>`;
}
