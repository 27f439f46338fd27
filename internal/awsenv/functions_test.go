package awsenv

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Part of an invocation's time is kept for what comes after.
func TestTimeIsKeptForTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		invocation, end := context.WithTimeout(t.Context(), 290*time.Second)
		defer end()
		began := time.Now()
		working, cancel := withReserve(invocation, time.Minute)
		defer cancel()
		<-working.Done()
		if took := time.Since(began); took != 230*time.Second || invocation.Err() != nil {
			t.Errorf("the work ended after %v, and the invocation: %v", took, invocation.Err())
		}
		endless, cancel := withReserve(context.Background(), time.Minute)
		defer cancel()
		if _, ok := endless.Deadline(); ok {
			t.Error("an invocation without an end got one")
		}
	})
}
