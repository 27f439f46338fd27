/**
 * What can be done to an integration.
 */
import { html, render } from '../html.js';
import { call, estimate, Failure, isAbort, now, pathOf } from '../api.js';
import { fromLocal, hour, inOwnTime, span, target, toLocal } from '../format.js';
import { action, answer, badge, confirm, dialog, newId, toast } from '../ui.js';
import { estimated, pause } from './replay.js';

/** @typedef {import('../api.js').Integration} Integration */

/** @param {string} id @param {Record<string, string>} body @param {() => void} done */
export async function start(id, body, done) {
  await call('post', pathOf(id, '/_start'), { body });
  toast(`${id} is started.`);
  done();
}

/** @param {string} id @param {() => void} done @param {string} word what it is then */
export async function stop(id, done, word) {
  const { status } = await call('post', pathOf(id, '/_stop'));
  toast(status === 'stopped' ? `${id} is ${word}.` : `${id} is stopping.`);
  done();
}

/** Enter in a dialog's field presses its button. @this {HTMLFormElement} @param {Event} event */
function send(event) {
  event.preventDefault();
  /** @type {HTMLButtonElement | null} */ (this.querySelector('.action button'))?.click();
}

/** Makes the next attempt now: the back-off ends with a stop, and the outage is counted anew.
 * @param {string} id @param {() => void} done */
export async function tryNow(id, done) {
  let { status } = await call('post', pathOf(id, '/_stop'));
  for (let i = 0; status !== 'stopped' && i < 40; i++) {
    await new Promise((go) => setTimeout(go, 500));
    ({ status } = await call('get', pathOf(id)));
  }
  await call('post', pathOf(id, '/_start'), { body: {} });
  toast(`${id} is restarted: the next attempt is made now.`);
  done();
}

/** Asks where to start, and says how much an earlier time sends.
 * @param {Integration} one @param {() => void} done */
export function askStart({ id, filter_conditions: conditions }, done) {
  const [stay, latest, time, at] = [newId(), newId(), newId(), newId()];
  const many = document.createElement('div');
  many.setAttribute('role', 'status');
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  dialog(`Start ${id} from …`, (close) => {
    /** @type {HTMLFormElement} */
    let form;
    const act = async () => {
      const data = new FormData(form);
      const from = String(data.get('from'));
      await start(id, from === 'stay' ? {} : { from: from === 'latest' ? 'latest' : fromLocal(String(data.get('at'))) }, done);
      close();
    };
    const content = html`<form @submit=${send}>
      <fieldset><legend class="unseen">Where to start</legend>
        <p><input type="radio" name="from" value="stay" id=${stay} checked> <label for=${stay}>Where it stopped (nothing is lost)</label></p>
        <p><input type="radio" name="from" value="time" id=${time} @change=${later}> <label for=${time}>From a given time (resends or skips events)</label>
          <input type="datetime-local" step="1" name="at" id=${at} aria-label="Time, in your zone" value=${toLocal(now() - hour)} @input=${pick}></p>
        ${many}
        <p><input type="radio" name="from" value="latest" id=${latest}> <label for=${latest}>From now on (waiting events are not sent)</label></p>
      </fieldset>
      <div class="buttons">${action({ label: 'Start', kind: 'primary', act })}<button type="button" @click=${close}>Cancel</button></div>
    </form>`;
    form = /** @type {HTMLFormElement} */ (content.firstElementChild);
    return content;

    function pick() {
      /** @type {HTMLInputElement} */ (form.querySelector('[value="time"]')).checked = true;
      later();
    }

    function later() {
      clearTimeout(timer);
      timer = setTimeout(ask, pause);
    }

    async function ask() {
      const chosen = () => fromLocal(String(new FormData(form).get('at')));
      const from = chosen();
      if (from === '') return;
      try {
        const told = await estimate({ starts_at: from, ends_at: new Date(now()).toISOString(), ...(conditions && { filter_conditions: conditions }) });
        if (from === chosen()) render(many, estimated(told));
      } catch (error) {
        if (isAbort(error)) return;
        if (!(error instanceof Failure)) throw error;
        if (from === chosen()) render(many, html`<p class="quiet">${inOwnTime(error.message)}</p>`);
      }
    }
  });
}

/** @param {string} id @param {string} eventId @param {string} name @param {() => void} done */
export function askSkip(id, eventId, name, done) {
  confirm(`Skip an event of ${id}?`, html`
    <p>The event <code>${eventId}</code> <bdi>${name}</bdi> is set aside in the list of rejected events, and the stream goes on at once.
      You can retry it from there later.</p>`, 'Skip it', async () => {
    await call('post', pathOf(id, '/_skip'), { body: { event_id: eventId } });
    toast('Skipped. It is in the list of rejected events.');
    done();
  });
}

/** Sends a test event, and shows what the target says. @param {Integration} one */
export function askTest(one) {
  const field = newId();
  dialog(`Send a test event to ${one.id}`, (close) => {
    const result = document.createElement('div');
    result.setAttribute('role', 'status');
    const content = html`<form @submit=${send}>
      <p>One event goes to <bdi class="target">${target(one)}</bdi> now, with the header <code>sluice-test: 1</code>. It does not affect the stream, is not retried, and is not listed among the deliveries.</p>
      <label for=${field}>Event name</label>
      <input id=${field} value="sluice.test" spellcheck="false" autocomplete="off">
      ${result}
      <div class="buttons">${action({ label: 'Send', kind: 'primary', act })}<button type="button" @click=${close}>Close</button></div></form>`;
    const input = /** @type {HTMLInputElement} */ (content.querySelector('input'));
    return content;

    async function act() {
      render(result, html`<p class="quiet">Waiting for the answer …</p>`);
      try {
        const told = await call('post', pathOf(one.id, '/_test'), { body: input.value === '' ? {} : { event_name: input.value }, slow: true });
        render(result, html`<p>${badge(told.outcome)}: ${answer(told.status_code, told.cause)}, in ${span(told.took_ms)}</p>`);
      } catch (error) {
        render(result, '');
        throw error;
      }
    }
  });
}

/** Deletes an integration whose id is typed, or cancels a replay so.
 * @param {Integration} one @param {boolean} running a replay that is not complete */
export function askDelete({ id }, running) {
  const field = newId();
  dialog(running ? `Cancel the replay ${id}?` : `Delete ${id}?`, (close) => {
    const content = html`<form @submit=${send}>
      <p>${running && 'What was sent stays sent, the rest is not sent. '}Its log and its rejected events are deleted too. This cannot be undone.</p>
      <label for=${field}>Type <strong><bdi>${id}</bdi></strong> to ${running ? 'cancel' : 'delete'} it</label>
      <input id=${field} autocomplete="off" spellcheck="false" @input=${check}>
      <div class="buttons">${action({ label: running ? 'Cancel the replay' : 'Delete', kind: 'danger', disabled: true, act })}<button type="button" @click=${close}>${running ? 'Keep it' : 'Cancel'}</button></div></form>`;
    const button = /** @type {HTMLButtonElement} */ (content.querySelector('.danger'));
    return content;

    /** @this {HTMLInputElement} */
    function check() {
      button.disabled = this.value !== id;
    }

    async function act() {
      await call('delete', pathOf(id));
      close();
      toast(running ? `The replay ${id} is cancelled.` : `${id} is deleted.`);
      location.hash = '#/';
    }
  });
}

