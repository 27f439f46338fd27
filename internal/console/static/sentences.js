/**
 * Health in sentences that a customer understands.
 */
import { now } from './api.js';
import { clock, day, dayOf, plural, quoted, span } from './format.js';

/** @typedef {import('./api.js').Integration} Integration */
/** @typedef {import('./api.js').Health} Health */

/** What the state of an integration is called: a replay that is stopped is paused.
 * @param {Integration} integration @param {Health} health */
export function stateOf({ status, integration_type: type }, { state }) {
  if (status === 'stopping') return 'stopping';
  return state === 'stopped' && type === 'temporary' ? 'paused' : state;
}

/** @param {string | null | undefined} at */
const ms = (at) => (at ? Date.parse(at) : null);

/** @param {Integration} integration @param {Health} health @param {number} retention of the log, in ms */
export function sentence(integration, health, retention) {
  switch (health.state) {
    case 'failing':
      return failing(integration, health, retention);
    case 'catching_up':
      return `Catching up: ${waiting(integration, health)} to be sent${oldest(health)}.`;
    case 'complete':
      return 'The replay is complete. It will be deleted automatically, with its log and its rejected events.';
    case 'stopped':
      return stopped(integration, health);
    case 'healthy':
      return healthy(integration, health);
    default:
      return health.state; // of a newer service
  }
}

/** @param {Integration} integration @param {Health} health */
function healthy(integration, health) {
  const last = ms(health.last_delivered_at);
  if (integration.s3_parameters && health.behind.events > 0) {
    return `Collecting events: ${waiting(integration, health)} for the next file.`;
  }
  if (last === null) return 'Ready. Nothing has been delivered yet.';
  return `Up to date. The last delivery was ${now() - last < 1000 ? 'just now' : `${span(now() - last)} ago`}.`;
}

/** @param {Integration} integration @param {Health} health @param {number} retention */
function failing(integration, health, retention) {
  const { failing: outage, behind } = health;
  if (!outage) return 'The target is failing.';
  const since = ms(outage.since);
  const subject = integration.s3_parameters ? 'your bucket' : 'your receiver';
  const what = outage.status_code ? `it answers ${outage.status_code}` : quoted(outage.cause);
  const parts = [`Waiting for ${subject}${since === null ? '' : ` since ${clock(since)}`}: ${what}.`];
  const next = ms(outage.next_attempt_at);
  if (next !== null) parts.push(next > now() ? `Next attempt in ${span(Math.max(next - now(), 1000))}.` : 'The next attempt is about to be made.');
  const oldestAt = ms(behind.oldest_published_at);
  if (behind.events > 0) {
    const wait = capital(waiting(integration, health));
    parts.push(oldestAt === null ? `${wait}.` : `${wait}; nothing is lost until ${edge(oldestAt + retention, retention)}.`);
  }
  const stops = ms(outage.stops_at);
  if (stops !== null) parts.push(`If it is still failing at ${clock(stops)}, the integration stops; start it again then.`);
  return parts.join(' ');
}

/** @param {Integration} integration @param {Health} health */
function stopped(integration, health) {
  if (integration.status === 'stopping') return 'Stopping: what is being sent is finished first.';
  const replay = integration.integration_type === 'temporary';
  const parts = [health.reason === 'stopped_after_failing' ? 'Stopped: the target failed for too long.' : replay ? 'Paused.' : 'Stopped by hand.'];
  if (health.behind.events > 0) parts.push(capital(`${waiting(integration, health)}.`));
  const by = ms(health.restart_by);
  if (by !== null) parts.push(by > now() ? `${replay ? 'Resume' : 'Start'} it by ${clock(by)}, and nothing is lost.` : `What was published before ${clock(by)} may be lost.`);
  return parts.join(' ');
}

/** @param {string} text */
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** A day, or with a short retention the hour too. @param {number} at @param {number} retention */
const edge = (at, retention) => (retention < 2 * day ? clock(at) : dayOf(at));

/** "1,204 events wait". They are counted before the filter. @param {Integration} integration @param {Health} health */
function waiting(integration, { behind }) {
  return `${integration.filter_conditions ? 'up to ' : ''}${plural(behind.events, 'event')} ${behind.events === 1 ? 'waits' : 'wait'}`;
}

/** @param {Health} health */
function oldest({ behind }) {
  const at = ms(behind.oldest_published_at);
  return at === null ? '' : `, the oldest from ${clock(at)}`;
}

/** How far behind, in the fewest words. @param {Health} health */
export function behindBy(health) {
  const { events, oldest_published_at: at } = health.behind;
  if (events === 0) return '–';
  const oldestAt = ms(at);
  return oldestAt === null ? plural(events, 'event') : `${plural(events, 'event')}, ${span(now() - oldestAt)}`;
}
