/**
 * Calls of the API, all on the page's own origin. Each throws a Failure.
 */
import { isPlatform, isToken, session } from './session.js';

/** @typedef {import('../openapi').components['schemas']} Schemas */
/** @typedef {Schemas['Integration'] & { health?: Schemas['Health'] | null, activity?: Activity | null }} Integration */
/** @typedef {Schemas['Health']} Health */
/** @typedef {{ delivered: number, rejected: number, failed: number }} Hour */
/** @typedef {{ since: string, hours: Hour[], complete: boolean }} Activity */
/** @typedef {'get' | 'post' | 'patch' | 'delete'} Method */
/** @typedef {Record<string, string | number | null | undefined>} Query */

export const root = '/api/v1/org';
export const base = root + '/integrations/eventstream';

/** What a call failed with: the API's own answer, or that there was none (status 0). */
export class Failure extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {string} requestId */
  constructor(status, code, message, requestId = '') {
    super(message);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

/** The longest wait for an answer, in ms; for calls that send to receivers longer. */
const patience = 20000;
const longPatience = 60000;

let clockSkew = 0;

/** The service's time, in ms since 1970: a reader's clock may be wrong. */
export const now = () => Date.now() + clockSkew;

/** The path of an integration. @param {string} id @param {string} rest */
export const pathOf = (id, rest = '') => `${base}/${encodeURIComponent(id)}${rest}`;

/**
 * @param {Method} method
 * @param {string} path
 * @param {{ query?: Query, body?: unknown, signal?: AbortSignal, noTenant?: boolean, slow?: boolean, exact?: boolean }} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, { query, body, signal, noTenant, slow, exact } = {}) {
  const ends = either(signal, AbortSignal.timeout(slow ? longPatience : patience));
  const response = await send(method, path + search(query), body, signal, ends, noTenant ?? false);
  keepTime(response);
  const text = await response.text().catch(() => {
    throw lost(signal);
  });
  setConnected(true);
  const answer = parse(text, exact ?? false);
  if (response.ok && answer !== undefined) return answer;
  throw new Failure(
    response.status,
    String(answer?.error_code ?? answer?.code ?? 'unknown'),
    // A gateway in front of the service answers in its own words.
    String(answer?.message ?? `The service answered ${response.status} in a form that this page does not know.`),
    String(answer?.request_id ?? ''),
  );
}

/** What a replay of a span of time would send. Its target is not looked at, so any will do.
 * @param {{ starts_at?: string, ends_at?: string, filter_conditions?: unknown }} span @param {AbortSignal} [signal]
 * @returns {Promise<Schemas['Estimate']>} */
export function estimate(span, signal) {
  const body = { ...span, id: 'estimate', integration_type: 'temporary', callback_parameters: { callback_url: 'https://example.com/' } };
  return call('post', base + '/_estimate', { body, signal });
}

/** @param {Method} method @param {string} url @param {unknown} body @param {AbortSignal | undefined} signal of the view
 * @param {AbortSignal} ends @param {boolean} noTenant */
async function send(method, url, body, signal, ends, noTenant) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json' };
  const who = session();
  if (who && !isToken(who.token)) throw new Failure(401, 'unauthorized', 'The access token has characters that no token has.');
  if (who) headers.Authorization = `Bearer ${who.token}`;
  // A header has no characters beyond Latin-1; a tenant may.
  if (who && isPlatform() && who.tenant !== '' && !noTenant) headers['Sluice-Tenant'] = latin1(who.tenant);
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  try {
    return await fetch(url, {
      method: method.toUpperCase(),
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: ends,
      cache: 'no-store',
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      redirect: 'error',
    });
  } catch {
    throw lost(signal);
  }
}

/** A signal that aborts when one of two does: browsers of 2023 have no AbortSignal.any.
 * @param {AbortSignal | undefined} one @param {AbortSignal} other, of which it is certain that it aborts */
function either(one, other) {
  if (!one) return other;
  const ends = new AbortController();
  for (const signal of [one, other]) {
    if (signal.aborted) ends.abort(signal.reason);
    // The timeout aborts it in any case, so no listener stays for as long as the view does.
    signal.addEventListener('abort', () => ends.abort(signal.reason), { signal: ends.signal });
  }
  return ends.signal;
}

/** Why there is no answer. @param {AbortSignal | undefined} signal of the view */
function lost(signal) {
  if (signal?.aborted) return signal.reason;
  setConnected(false);
  return new Failure(0, 'no_connection', 'The service cannot be reached.');
}

/** UTF-8 bytes as a header carries them. @param {string} text */
function latin1(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** @param {Query | undefined} query */
function search(query) {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const params = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length === 0 ? '' : `?${params}`;
}

/** If it has to be exact, numbers that a browser would change, as 12345678901234567890 or 1.10, stay as
 * they were written, where it can keep them so. @param {string} text @param {boolean} exact */
function parse(text, exact) {
  try {
    return JSON.parse(text, exact ? /** @type {any} */ (keepNumber) : undefined);
  } catch {
    return undefined;
  }
}

/** @param {string} _ @param {unknown} value @param {{ source?: string }} context */
function keepNumber(_, value, context) {
  const raw = /** @type {any} */ (JSON).rawJSON;
  return typeof value === 'number' && raw && context?.source && context.source !== String(value) ? raw(context.source) : value;
}

/** Dates have whole seconds, so small differences mean nothing. @param {Response} response */
function keepTime(response) {
  const told = Date.parse(response.headers.get('Date') ?? '');
  if (Number.isNaN(told)) return;
  const skew = told - Date.now();
  clockSkew = Math.abs(skew) > 5000 ? skew : 0;
}

/** @type {Set<(connected: boolean) => void>} */
const watchers = new Set();
let connected = true;

/** Tells when the connection is lost, and when it is back. @param {(connected: boolean) => void} watcher */
export function onConnection(watcher) {
  watchers.add(watcher);
}

/** @param {boolean} is */
function setConnected(is) {
  if (is === connected) return;
  connected = is;
  for (const watcher of watchers) watcher(is);
}

/** Whether an error only says that the view it was for is gone. @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === 'AbortError';
