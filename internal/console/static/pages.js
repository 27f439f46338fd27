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
 * @template T
 * @param {AbortSignal} signal
 * @param {{
 *   read: (after: string | null) => Promise<Page<T>>,
 *   keyOf: (item: T) => string,
 *   changes?: (item: T) => boolean,
 *   draw: (items: T[], next: string | null) => void,
 *   failed: (failure: import('./api.js').Failure) => void,
 * }} options an item that changes is not kept among older ones: it comes again when it has changed
 */
export function pages(signal, { read, keyOf, changes = () => false, draw, failed }) {
  /** @type {T[]} */
  let first = [];
  /** @type {T[]} */
  let older = [];
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
    draw([...first, ...older], next);
  }, (failure) => {
    drawn = '';
    failed(failure);
  });

  /** Puts a new first page before what is shown. If there is a gap between them, or too much, the older ones go.
   * @param {Page<T>} page */
  function join(page) {
    const known = new Set(page.items.map(keyOf));
    const meets = first.some((item) => known.has(keyOf(item)));
    if (older.length === 0 || older.length > mostOlder || !meets) {
      older = [];
      next = page.next;
    } else {
      older = [...first, ...older].filter((item) => !changes(item) && !known.has(keyOf(item)));
    }
    first = page.items;
  }

  return {
    refresh,

    /** Adds the next older page. */
    async more() {
      const [asked, before] = [list, older.length > 0 ? older : first];
      const page = await read(next);
      if (asked !== list || signal.aborted) return;
      const known = new Set(first.map(keyOf));
      older = [...before, ...page.items].filter((item) => !known.has(keyOf(item)));
      next = page.next;
      draw([...first, ...older], next);
    },

    /** Begins again: what is read has changed. */
    restart() {
      list++;
      first = older = [];
      next = null;
      drawn = '';
      refresh();
    },
  };
}
