/**
 * Times, spans, counts and sizes as people read them.
 */
import { html } from './html.js';
import { now } from './api.js';

const number = new Intl.NumberFormat(undefined);
const second = 1000;
const minute = 60 * second;
/** In ms, as every length of time here. */
export const hour = 60 * minute;
export const day = 24 * hour;

/** @param {number} n */
export const count = (n) => number.format(n);

/** "1 event", "2 events". @param {number} n @param {string} one */
export const plural = (n, one, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`;

/** @param {number} bytes */
export function size(bytes) {
  for (const [unit, name] of /** @type {const} */ ([[2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']])) {
    if (bytes >= unit) return `${number.format(Math.round((bytes / unit) * 10) / 10)} ${name}`;
  }
  return `${count(bytes)} B`;
}

/** A length of time in its largest one or two units: "2 min", "3 h 4 min". @param {number} ms */
export function span(ms) {
  ms = Math.max(ms, 0);
  if (ms < 1) return '< 1 ms';
  if (ms < second) return `${Math.round(ms)} ms`;
  if (ms < minute) return `${Math.round(ms / second)} s`;
  if (ms < hour) return `${Math.round(ms / minute)} min`;
  if (ms < day) return two(Math.floor(ms / hour), 'h', Math.floor((ms % hour) / minute), 'min');
  return two(Math.floor(ms / day), 'd', Math.floor((ms % day) / hour), 'h');
}

/** @param {number} a @param {string} large @param {number} b @param {string} small */
const two = (a, large, b, small) => (b === 0 ? `${a} ${large}` : `${a} ${large} ${b} ${small}`);

/** @param {Intl.DateTimeFormatOptions} options */
const formatter = (options) => new Intl.DateTimeFormat(undefined, options);
const minutes = formatter({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const seconds = formatter({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const dayAndMonth = formatter({ day: 'numeric', month: 'short' });
const dayAndYear = formatter({ day: 'numeric', month: 'short', year: 'numeric' });

/** Every time of the page is this one: the hour for today, the day before it for another one, and in the
 * hour that a change of the clocks repeats the offset behind it.
 * @param {number} ms @param {boolean} precise with seconds, as in tables; sentences have minutes */
export function clock(ms, precise = false) {
  const time = (precise ? seconds : minutes).format(ms) + (isRepeated(ms) ? ` ${offset(ms)}` : '');
  return new Date(ms).toDateString() === new Date(now()).toDateString() ? time : `${dayOf(ms)}, ${time}`;
}

/** A day, with the year if it is another. @param {number} ms */
export function dayOf(ms) {
  return (new Date(ms).getFullYear() === new Date(now()).getFullYear() ? dayAndMonth : dayAndYear).format(ms);
}

/** How far the reader's zone is behind UTC, in ms. @param {number} ms */
const behindUTC = (ms) => new Date(ms).getTimezoneOffset() * minute;

/** Whether a clock on the wall shows this time twice: some hours before or after there is another offset, and
 * the time of the same name is still in it. @param {number} ms */
function isRepeated(ms) {
  const here = behindUTC(ms);
  return [ms - 3 * hour, ms + 3 * hour].some((near) => {
    const there = behindUTC(near);
    return there !== here && behindUTC(ms + there - here) === there;
  });
}

/** "UTC+2", "UTC-3:30". @param {number} ms */
function offset(ms) {
  const ahead = -behindUTC(ms);
  const [hours, rest] = [Math.floor(Math.abs(ahead) / hour), Math.round((Math.abs(ahead) % hour) / minute)];
  return `UTC${ahead < 0 ? '-' : '+'}${hours}${rest === 0 ? '' : `:${String(rest).padStart(2, '0')}`}`;
}

/** A time in the reader's zone, with UTC on hover. @param {string | null | undefined} at */
export function time(at) {
  if (!at) return html`<span class="none">–</span>`;
  const ms = Date.parse(at);
  return html`<time datetime=${at} title=${at.replace('T', ' ').replace('Z', ' UTC')}>${clock(ms, true)}</time>`;
}

const times = /\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)\b/;

/** A sentence of the service with its times in the reader's zone. What only looks like one stays: a
 * receiver may have written it. @param {string} text */
export const inOwnTime = (text) => text.split(times).map((part, i) => (i % 2 === 0 || Number.isNaN(Date.parse(part)) ? part : time(part)));

/** "2 min ago", as a time with UTC on hover. @param {string | null | undefined} at */
export const ago = (at) => relative(at, (ms) => (ms > -second ? 'now' : `${span(-ms)} ago`));

/** "in 3 s", as a time with UTC on hover. @param {string | null | undefined} at */
export const until = (at) => relative(at, (ms) => (ms < second ? 'now' : `in ${span(ms)}`));

/** @param {string | null | undefined} at @param {(ms: number) => string} say */
function relative(at, say) {
  if (!at) return html`<span class="none">–</span>`;
  const said = say(Date.parse(at) - now());
  return html`<time datetime=${at} title=${at.replace('T', ' ').replace('Z', ' UTC')}>${said}</time>`;
}

/** The value of a datetime-local field, which has no zone, as the API's time; '' stays '', and so does
 * what is no time, as a year of six digits: the API says what is wrong with it. Fields have whole
 * seconds, so the end of a span is `ms` later. @param {string} local */
export function fromLocal(local, ms = 0) {
  const date = new Date(new Date(local).getTime() + ms);
  return Number.isNaN(date.getTime()) ? local : date.toISOString();
}

/** @param {number} ms */
export function toLocal(ms) {
  if (Number.isNaN(ms)) return '';
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * minute);
  return date.toISOString().slice(0, 19);
}

/** A text of somebody else within a sentence: it cannot turn the words around it.
 * @param {string | null | undefined} text */
export const quoted = (text) => `\u2068${(text ?? '').replace(/[\u202a-\u202e\u2066-\u2069]/g, '')}\u2069`;

/** The origin of a URL, or a bucket: where events go, without what may be a secret in a path.
 * @param {import('./api.js').Integration} integration */
export function target(integration) {
  const { callback_parameters: webhook, s3_parameters: s3 } = integration;
  if (s3) return `s3://${s3.bucket}`;
  try {
    return new URL(webhook?.callback_url ?? '').origin;
  } catch {
    return webhook?.callback_url ?? '';
  }
}
