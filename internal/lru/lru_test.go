package lru_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/lru"
)

func size(v int) int { return v }

func keys(c *lru.Cache[string, int]) []string {
	var keys []string
	for k := range c.All() {
		keys = append(keys, k)
	}
	return keys
}

func TestTheLeastRecentlyUsedIsGivenUpFirst(t *testing.T) {
	c := lru.New[string, int](10, size)
	for _, k := range []string{"a", "b", "c"} {
		if old := c.Put(k, 3); len(old) > 0 {
			t.Errorf("gave %v up with room to spare", old)
		}
	}
	c.Get("a")
	if old := c.Put("d", 2); len(old) != 1 {
		t.Errorf("gave %d up for room of one", len(old))
	}
	if got := keys(c); !slices.Equal(got, []string{"d", "a", "c"}) {
		t.Errorf("kept %v", got)
	}
}

func TestAValueLargerThanTheCacheCostsNoOther(t *testing.T) {
	c := lru.New[string, int](10, size)
	c.Put("a", 3)
	if old := c.Put("b", 11); !slices.Equal(old, []int{11}) || !slices.Equal(keys(c), []string{"a"}) {
		t.Errorf("gave up %v, kept %v", old, keys(c))
	}
}

func TestALoopMayTakeWhatItIsAt(t *testing.T) {
	c := lru.New[string, int](100, size)
	for i, k := range []string{"a", "b", "c", "d"} {
		c.Put(k, i)
	}
	for k, v := range c.All() {
		if v%2 == 0 {
			c.Take(k)
		}
	}
	if got := keys(c); !slices.Equal(got, []string{"d", "b"}) {
		t.Errorf("kept %v", got)
	}
}

// Whatever is put, got and taken: the cache has what was used last, as a list that
// looks at everything each time says, and is never larger than its bound.
func TestCacheIsAsItsModel(t *testing.T) {
	const most = 20
	rapid.Check(t, func(t *rapid.T) {
		c := lru.New[string, int](most, size)
		values, order := map[string]int{}, []string{} // the one used last comes last
		leave := func(k string) int {
			v := values[k]
			delete(values, k)
			order = slices.DeleteFunc(order, func(o string) bool { return o == k })
			return v
		}
		sum := func() (n int) {
			for v := range maps.Values(values) {
				n += v
			}
			return n
		}
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.IntRange(0, most+1).Draw(t, "value")
				var want []int
				if _, had := values[k]; had {
					want = append(want, leave(k))
				}
				for v <= most && sum()+v > most {
					want = append(want, leave(order[0]))
				}
				if v > most {
					want = append(want, v)
				} else {
					values[k], order = v, append(order, k)
				}
				if diff := cmp.Diff(want, c.Put(k, v)); diff != "" {
					t.Errorf("what left (-want +got):\n%s", diff)
				}
			},
			"get": func(t *rapid.T) {
				k := key.Draw(t, "key")
				want, had := values[k]
				if had {
					values[k] = leave(k)
					order = append(order, k)
				}
				if got, ok := c.Get(k); got != want || ok != had {
					t.Errorf("got %v %v, want %v %v", got, ok, want, had)
				}
			},
			"take": func(t *rapid.T) {
				k := key.Draw(t, "key")
				_, had := values[k]
				want := leave(k)
				if got, ok := c.Take(k); got != want || ok != had {
					t.Errorf("took %v %v, want %v %v", got, ok, want, had)
				}
			},
			"": func(t *rapid.T) {
				got := keys(c)
				slices.Reverse(got)
				if !slices.Equal(got, order) || c.Bytes() != sum() || c.Bytes() > most {
					t.Errorf("has %v of %d bytes, want %v of %d", got, c.Bytes(), order, sum())
				}
			},
		})
	})
}
