/**
 * Refreshing: while the page is seen, and not at all while it is hidden.
 */
import { Failure, isAbort } from './api.js';

/** How often what changes by the second is refreshed, in ms. */
export const often = 2000;
/** The longest wait after failures, in ms. */
const longest = 30000;

/**
 * Calls refresh now, and again when `every` ms have passed since it ended, later after failures, until
 * the signal. Its failures go to failed, except a lost connection, which the page says by itself;
 * that goes to failed only if nothing was ever shown. After a 401, 403 or 404 it is not called again by itself,
 * as the answer would be the same.
 *
 * @param {AbortSignal} signal
 * @param {number} every
 * @param {() => Promise<void>} refresh
 * @param {(failure: Failure) => void} failed
 * @returns {() => void} refreshes at once
 */
export function keepFresh(signal, every, refresh, failed) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let running = false;
  let again = false;
  let shown = false;
  let refused = false;
  let failures = 0;

  const attempt = async () => {
    clearTimeout(timer);
    if (signal.aborted || document.hidden) return;
    if (running) {
      again = true;
      return;
    }
    running = true;
    refused = false;
    try {
      await refresh();
      shown = true;
      failures = 0;
    } catch (error) {
      report(error);
    } finally {
      running = false;
      if (!signal.aborted && !refused) timer = setTimeout(attempt, again ? 0 : wait());
      again = false;
    }
  };

  /** A service that cannot be reached has no load to be spared. */
  const wait = () => Math.min(every * 2 ** failures, Math.max(every, longest));

  /** @param {unknown} error */
  const report = (error) => {
    if (isAbort(error) || signal.aborted) return;
    failures++;
    if (!(error instanceof Failure)) throw error;
    refused = [401, 403, 404].includes(error.status);
    if (error.status === 0) failures = 0;
    if (error.status !== 0 || !shown) failed(error);
  };

  document.addEventListener('visibilitychange', attempt, { signal });
  window.addEventListener('online', attempt, { signal });
  signal.addEventListener('abort', () => clearTimeout(timer));
  void attempt();
  return attempt;
}
