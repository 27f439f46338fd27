/**
 * Numbers that people would rather see than read. Each has its numbers as text too.
 */
import { html } from './html.js';
import { now } from './api.js';
import { clock, count, hour, plural } from './format.js';

/** @typedef {import('./api.js').Activity} Activity */

/** The last 24 hours, a bar for each: what was delivered, and on top what was rejected or failed.
 * @param {Activity | null | undefined} activity @param {import('./api.js').Health['failing']} [outage] that goes on */
export function sparkline(activity, outage) {
  if (!activity) return html`<span class="none">–</span>`;
  activity = withOutage(activity, outage);
  const { hours } = activity;
  const most = Math.max(1, ...hours.map((h) => h.delivered + h.rejected + h.failed));
  const height = 24;
  /** @param {(h: import('./api.js').Hour) => number} from @param {(h: import('./api.js').Hour) => number} n */
  const path = (from, n) => hours.map((h, i) => {
    if (n(h) === 0) return '';
    const tall = Math.max((n(h) / most) * height, 1);
    const base = height - (from(h) / most) * height;
    return `M${i * 4} ${round(base)}v-${round(tall)}h3v${round(tall)}z`;
  }).join('');
  const said = `Last 24 h: ${summary(activity)}`;
  return html`<svg class="sparkline" viewBox="0 0 96 24" width="96" height="24" role="img" aria-label=${said}>
    <title>${said}</title>
    <path class="ground" d="M0 23.5h96"></path>
    <path class="delivered" d=${path(() => 0, (h) => h.delivered)}></path>
    <path class="rejected" d=${path((h) => h.delivered, (h) => h.rejected)}></path>
    <path class="failed" d=${path((h) => h.delivered + h.rejected, (h) => h.failed)}></path>
  </svg>`;
}

/** Attempts are counted once their events are through. Those of an outage that goes on are shown in the hours since
 * it began: how many there were in each is not known.
 * @param {Activity} activity @param {import('./api.js').Health['failing']} [outage] @returns {Activity} */
function withOutage(activity, outage) {
  if (!outage?.since) return activity;
  const hourOf = (/** @type {number} */ ms) => Math.floor(ms / hour);
  const since = Math.max(hourOf(now()) - hourOf(Date.parse(outage.since)), 0) + 1;
  const first = activity.hours.length - since; // of a longer outage before the first bar
  const share = (/** @type {number} */ i) => Math.floor((outage.attempts * (i + 1)) / since) - Math.floor((outage.attempts * i) / since);
  return { ...activity, hours: activity.hours.map((one, i) => (i < first ? one : { ...one, failed: one.failed + share(i - first) })) };
}

/** How many events were rejected in the last 24 hours, as far as that was counted.
 * @param {Activity | null | undefined} activity */
export const rejections = (activity) => (activity?.hours ?? []).reduce((all, hour) => all + hour.rejected, 0);

/** @param {Activity} activity */
function summary({ hours, complete, since }) {
  const sum = (/** @type {(h: import('./api.js').Hour) => number} */ n) => hours.reduce((all, h) => all + n(h), 0);
  const said = `${count(sum((h) => h.delivered))} delivered, ${count(sum((h) => h.rejected))} rejected, ${plural(sum((h) => h.failed), 'failed attempt')}`;
  return complete ? said : `${said}, since ${clock(Date.parse(since))} only`;
}

const round = (/** @type {number} */ n) => Math.round(n * 10) / 10;

/**
 * From the oldest event that is kept to now: where the integration began, how far it is, and where
 * it ends.
 *
 * @param {{ oldest: number | null, startsAt: number | null, position: number | null, endsAt: number | null, waits: boolean }} places
 * in ms since 1970, and whether anything waits to be handled: sent, skipped or filtered out
 */
export function positionBar({ oldest, startsAt, position, endsAt, waits }) {
  if (oldest === null) return html`<p class="quiet" data-key="position">The event log has no events yet.</p>`;
  const to = Math.max(now(), endsAt ?? 0);
  const from = Math.min(oldest, to - 1);
  const at = (/** @type {number} */ ms) => Math.min(Math.max(((ms - from) / (to - from)) * 1000, 0), 1000);
  const begin = at(startsAt ?? from);
  const reached = position === null ? begin : Math.max(at(position), begin);
  const until = at(endsAt ?? to);
  /** @type {[string, string, number][]} */
  const marks = [['now', 'now', now()]];
  if (startsAt !== null && startsAt > from) marks.unshift(['starts', 'starts', startsAt]);
  if (endsAt !== null) marks.push(['ends', 'ends', endsAt]);
  if (position !== null) marks.push(['position', waits ? 'handled up to' : 'nothing waits', position]);
  marks.sort(([, , a], [, , b]) => a - b);
  const isTimed = (/** @type {string} */ word) => word !== 'now' && word !== 'nothing waits';
  const said = [`oldest kept event ${clock(from)}`, ...marks.map(([, word, ms]) => (isTimed(word) ? `${word} ${clock(ms)}` : word))].join(', ');
  return html`<figure class="position" data-key="position">
    <svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label=${`Position: ${said}`}>
      <rect class="all" x="0" y="5" width="1000" height="6"></rect>
      <rect class="wanted" x=${round(begin)} y="5" width=${round(Math.max(until - begin, 0))} height="6"></rect>
      <rect class="through" x=${round(begin)} y="5" width=${round(Math.max(reached - begin, 0))} height="6"></rect>
      <path class="marks" d=${marks.map(([, , ms]) => `M${round(Math.min(Math.max(at(ms), 1), 999))} 1v14`).join('')}></path>
    </svg>
    <figcaption>
      <span>oldest kept event ${clock(from)}</span>
      ${marks.map(([kind, word, ms]) => html`<span class="mark ${kind}">${word}${isTimed(word) && ` ${clock(ms)}`}</span>`)}
    </figcaption>
  </figure>`;
}
