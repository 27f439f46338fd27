package memory

import (
	"reflect"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return New() })
}

// This test finds a field that was added to a record but not to its clone.
func TestClonesShareNothing(t *testing.T) {
	check := func(original, clone any) {
		t.Helper()
		a, b := map[uintptr]string{}, map[uintptr]string{}
		pointers(reflect.ValueOf(original), reflect.TypeOf(original).String(), a)
		pointers(reflect.ValueOf(clone), "clone", b)
		if len(a) == 0 || len(a) != len(b) {
			t.Errorf("%T: original has %d parts, its clone %d", original, len(a), len(b))
		}
		for p, path := range a {
			if b[p] != "" {
				t.Errorf("%s is shared with the clone", path)
			}
		}
	}
	ten, in, rec := filled[store.Tenant](), filled[integration.Integration](), filled[handoff.PartitionState]()
	cur, count, rej := filled[handoff.Cursor](), filled[integration.RejectedCount](), filled[integration.Rejected]()
	check(ten, cloneTenant(ten))
	check(in, cloneIntegration(in))
	check(rec, clonePartition(rec))
	check(cur, cloneCursor(cur))
	check(count, cloneCount(count))
	check(rej, cloneRejected(rej))
}

var timeType = reflect.TypeFor[time.Time]()

// filled returns a T in which no pointer or slice is nil.
func filled[T any]() *T {
	v := new(T)
	fill(reflect.ValueOf(v).Elem())
	return v
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type() != timeType {
				fill(v.Field(i))
			}
		}
	case reflect.Map, reflect.Chan, reflect.Func, reflect.Interface:
		panic("teach this test about " + v.Type().String())
	}
}

// pointers collects the addresses that v's pointers and slices point to.
func pointers(v reflect.Value, path string, into map[uintptr]string) {
	switch v.Kind() {
	case reflect.Pointer:
		into[v.Pointer()] = path
		pointers(v.Elem(), path, into)
	case reflect.Slice:
		into[v.Pointer()] = path
		for i := range v.Len() {
			pointers(v.Index(i), path+"[]", into)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type() != timeType {
				pointers(v.Field(i), path+"."+v.Type().Field(i).Name, into)
			}
		}
	}
}
