// Package lru keeps the values that were used last, up to a number of bytes. When
// it is full it gives up one value at a time, the one whose last use is longest
// ago, so that a set of values that fits and is used again and again stays.
package lru

import (
	"container/list"
	"iter"
)

// Cache is bounded by the sum of its values' sizes. It is not safe for concurrent
// use: its users hold a lock of their own, mostly over more than one call.
type Cache[K comparable, V any] struct {
	most    int // bytes
	size    func(V) int
	bytes   int
	entries map[K]*list.Element // of entry[K, V]
	order   *list.List          // the one used last is in front
}

type entry[K comparable, V any] struct {
	key   K
	value V
	size  int
}

// New returns an empty cache of at most so many bytes. size returns the bytes of a
// value, with its key and what the cache needs for it, and is called once for each
// Put.
func New[K comparable, V any](most int, size func(V) int) *Cache[K, V] {
	return &Cache[K, V]{most: most, size: size, entries: make(map[K]*list.Element), order: list.New()}
}

// Get returns the value of a key, which is a use of it.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	at, ok := c.entries[key]
	if !ok {
		var none V
		return none, false
	}
	c.order.MoveToFront(at)
	return at.Value.(entry[K, V]).value, true
}

// Put adds a value, which is a use of it, and returns the values that are not in the
// cache any more: the one that the key had, then those given up, the least recently
// used first. A value larger than the cache is given up at once.
func (c *Cache[K, V]) Put(key K, value V) (old []V) {
	if before, ok := c.Take(key); ok {
		old = append(old, before)
	}
	e := entry[K, V]{key: key, value: value, size: c.size(value)}
	if e.size > c.most {
		return append(old, value) // and not all the others first
	}
	for c.bytes+e.size > c.most {
		old = append(old, c.remove(c.order.Back()))
	}
	c.entries[key] = c.order.PushFront(e)
	c.bytes += e.size
	return old
}

// Take removes the value of a key and returns it.
func (c *Cache[K, V]) Take(key K) (V, bool) {
	at, ok := c.entries[key]
	if !ok {
		var none V
		return none, false
	}
	return c.remove(at), true
}

func (c *Cache[K, V]) remove(at *list.Element) V {
	e := c.order.Remove(at).(entry[K, V])
	delete(c.entries, e.key)
	c.bytes -= e.size
	return e.value
}

// All returns the keys and values, the most recently used first, and uses none. The
// loop may Take the key that it is at.
func (c *Cache[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for at := c.order.Front(); at != nil; {
			e, next := at.Value.(entry[K, V]), at.Next()
			if !yield(e.key, e.value) {
				return
			}
			at = next
		}
	}
}

// Bytes returns the sum of the values' sizes.
func (c *Cache[K, V]) Bytes() int { return c.bytes }
