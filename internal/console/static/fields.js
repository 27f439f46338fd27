/**
 * Fields of forms. Each names the API's field that it fills, so that an error of the API, which
 * names it too, is shown beside it.
 */
import { html } from './html.js';
import { Failure, isAbort } from './api.js';
import { newId } from './ui.js';

/** @typedef {import('./html.js').Content} Content */

/** What an id has to be; the browser says it when one is not. */
export const idForm = 'Lowercase letters, digits and hyphens';

/**
 * @param {{ field: string, label: string, hint?: Content, value?: string, type?: string, required?: boolean,
 *   placeholder?: string, pattern?: string, title?: string, maxlength?: number, disabled?: boolean, extra?: Content }} options
 */
export function input({ field, label, hint = '', value = '', type = 'text', required = false, placeholder, pattern, title, maxlength, disabled = false, extra = '' }) {
  const id = newId();
  return html`<div class="field" data-field=${field}>
    <label for=${id}>${label}${!required && html` <span class="quiet">optional</span>`}</label>
    <span class="with-extra"><input id=${id} name=${field} type=${type} value=${value} ?required=${required} ?disabled=${disabled} placeholder=${placeholder}
      pattern=${pattern} title=${title} maxlength=${maxlength} step=${type === 'datetime-local' ? '1' : null} autocomplete="off" spellcheck="false"
      aria-describedby="${id}-hint ${id}-error">${extra}</span>
    <p class="hint" id="${id}-hint">${hint}</p>
    <p class="error" id="${id}-error" role="alert"></p>
  </div>`;
}

/** What a field has, without spaces around it. @param {HTMLFormElement} form @param {string} field */
export const textOf = (form, field) => String(new FormData(form).get(field) ?? '').trim();

/** @param {HTMLFormElement} form */
export function clearErrors(form) {
  for (const place of form.querySelectorAll('.error')) place.textContent = '';
  for (const one of form.querySelectorAll('[aria-invalid]')) one.removeAttribute('aria-invalid');
}

/** Shows an error of the API beside the field that it names, or else at the form's end.
 * @param {HTMLFormElement} form @param {Failure} failure */
export function showError(form, failure) {
  /** Where the message names a field, as a whole word: the first is the one that is wrong. @param {Element} field */
  const place = (field) => failure.message.search(new RegExp(`(^|[^\\w.])${field.getAttribute('data-field')?.replaceAll('.', '\\.')}(?!\\w)`));
  const named = [...form.querySelectorAll('[data-field]')]
    .filter((field) => !field.closest('[hidden]') && place(field) >= 0)
    .sort((a, b) => place(a) - place(b));
  const ofId = failure.status === 409 ? form.querySelector('[data-field="id"]') : null;
  const holder = ofId ?? named[0] ?? form;
  const error = holder.querySelector(':scope > .error');
  if (error) error.textContent = inWordsOf(form, failure.message);
  const wrong = holder === form ? null : holder.querySelector('input, select, textarea');
  if (!(wrong instanceof HTMLElement)) return;
  wrong.setAttribute('aria-invalid', 'true');
  wrong.focus();
}

/** A message of the API with the fields called as the form labels them, also where it leaves out what a field is of.
 * A name of one word, as id, is a word of the language too, so it counts only where the message begins with it.
 * @param {HTMLFormElement} form @param {string} message */
export function inWordsOf(form, message) {
  for (const field of form.querySelectorAll('[data-field]')) {
    const [, of, name] = /^(.*\.)?(.*)$/.exec(field.getAttribute('data-field') ?? '') ?? [];
    const label = field.querySelector('label, legend')?.firstChild?.textContent?.trim();
    const whole = `${of ? `(?:${of.replace('.', '\\.')})${name.includes('_') ? '?' : ''}` : ''}${name}`;
    const start = of || name.includes('_') ? '(^|[^\\w.])' : '(^)';
    message = message.replace(new RegExp(`${start}${whole}(?:\\.\\w+|\\[\\d+\\])*(?!\\w)`, 'g'), (_, before) => `${before}“${label}”`);
  }
  return message.replace(/\bnull\b/g, 'nothing'); // which is what an empty field sends
}

/**
 * A form that calls the API when it is sent. It is sent once at a time.
 *
 * @param {{ label: string, content: Content, button: string, submit: (form: HTMLFormElement) => Promise<void>, more?: Content,
 *   changed?: (form: HTMLFormElement) => void }} options
 */
export function form({ label, content, button, submit, more = '', changed }) {
  return html`<form class="panel" aria-label=${label} @submit=${send} @input=${edited} @change=${edited}>
    ${content}
    <p class="error" role="alert"></p>
    <div class="buttons"><button class="primary">${button}</button>${more}</div>
  </form>`;

  /** @this {HTMLFormElement} @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    if (this.getAttribute('aria-busy') === 'true') return;
    this.setAttribute('aria-busy', 'true');
    clearErrors(this);
    try {
      await submit(this);
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof Failure)) throw error;
      showError(this, error);
    } finally {
      this.removeAttribute('aria-busy');
    }
  }

  /** @this {HTMLFormElement} */
  function edited() {
    changed?.(this);
  }
}
