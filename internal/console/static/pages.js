/**
 * A long list, newest first: its first page is kept fresh, and older pages are added when asked for.
 */
import { keepFresh, often } from './live.js';

/** How many items of older pages are kept while new ones come. */
const mostOlder = 2000;

/**
 * @template T
 * @typedef {{ items: T[], next: string | null }} Page
 */

/**
 * A part of what is shown: the first page, or an older one. A part that is settled has the same items
 * for as long as it has its key, so it has to be drawn once.
 * @template T
 * @typedef {{ key: string, items: T[], settled: boolean }} Part
 */

/**
 * @template T
 * @param {AbortSignal} signal
 * @param {{
 *   read: (after: string | null) => Promise<Page<T>>,
 *   keyOf: (item: T) => string,
 *   changes?: (item: T) => boolean,
 *   draw: (parts: Part<T>[], next: string | null) => void,
 *   failed: (failure: import('./api.js').Failure) => void,
 *   most?: number,
 * }} options an item that changes is not kept among older ones: it comes again when it has changed
 */
export function pages(signal, { read, keyOf, changes = () => false, draw, failed, most = mostOlder }) {
  /** @type {T[]} */
  let first = [];
  /** @type {Part<T>[]} */
  let older = [];
  let parts = 0; // so many were made
  /** @type {string | null} */
  let next = null;
  let drawn = ''; // the first page that is shown
  let list = 0; // which list is shown: another filter makes another

  const refresh = keepFresh(signal, often, async () => {
    const asked = list;
    const page = await read(null);
    if (asked !== list) return;
    const text = JSON.stringify(page);
    if (text === drawn) return;
    drawn = text;
    join(page);
    show();
  }, (failure) => {
    drawn = '';
    failed(failure);
  });

  const show = () => draw(first.length === 0 ? [] : [{ key: 'first', items: first, settled: false }, ...older], next);

  /** @param {T[]} items @returns {Part<T>} */
  const settled = (items) => ({ key: `part-${++parts}`, items, settled: true });

  /** Puts a new first page before what is shown. If there is a gap between them, or too much, the older ones go.
   * @param {Page<T>} page */
  function join(page) {
    const known = new Set(page.items.map(keyOf));
    const meets = first.some((item) => known.has(keyOf(item)));
    const kept = older.reduce((sum, { items }) => sum + items.length, 0);
    if (older.length === 0 || kept > most || !meets) {
      older = [];
      next = page.next;
    } else {
      const stays = (/** @type {T} */ item) => !changes(item) && !known.has(keyOf(item));
      older = [settled(first), ...older].map((part) => (part.items.every(stays) ? part : settled(part.items.filter(stays))))
        .filter(({ items }) => items.length > 0);
    }
    first = page.items;
  }

  return {
    refresh,

    /** Adds the next older page. */
    async more() {
      const asked = list;
      const page = await read(next);
      if (asked !== list || signal.aborted) return;
      const known = new Set(first.map(keyOf));
      older = [...older, settled(page.items.filter((item) => !known.has(keyOf(item))))];
      next = page.next;
      show();
    },

    /** Begins again: what is read has changed. */
    restart() {
      list++;
      first = [];
      older = [];
      next = null;
      drawn = '';
      refresh();
    },
  };
}

/** What is to be drawn of a part below an element that has its key and data-keep: nothing if it is there.
 * @template T @param {Element} list @param {string} key @param {Part<T>} part @param {(item: T) => import('./html.js').Content} draw */
export function unlessDrawn(list, key, { items, settled }, draw) {
  return settled && list.querySelector(`[data-key="${key}"]`) ? '' : items.map(draw);
}
