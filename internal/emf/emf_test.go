package emf

import (
	"bytes"
	"math"
	"testing"
	"time"
)

func TestPut(t *testing.T) {
	var out bytes.Buffer
	w := Writer{Out: &out, Stage: "dev", Now: func() time.Time { return time.UnixMilli(1748779200123) }}
	w.Put()
	w.Put(Metric{Name: "Broken", Unit: Count, Value: math.NaN()})
	w.Put(Metric{Name: "EventsDelivered", Unit: Count, Value: 12}, Metric{Name: "OldestLagSeconds", Unit: Seconds, Value: 0.5})
	want := `{"EventsDelivered":12,"OldestLagSeconds":0.5,"Stage":"dev","_aws":{"Timestamp":1748779200123,"CloudWatchMetrics":[{"Namespace":"Sluice","Dimensions":[["Stage"]],"Metrics":[{"Name":"EventsDelivered","Unit":"Count"},{"Name":"OldestLagSeconds","Unit":"Seconds"}]}]}}` + "\n"
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

func TestPutOf(t *testing.T) {
	var out bytes.Buffer
	w := Writer{Out: &out, Stage: "dev", Now: func() time.Time { return time.UnixMilli(1748779200123) }}
	w.PutOf("acme", "shop")
	w.PutOf("acme", "shop", Metric{Name: "OldestLagSeconds", Unit: Seconds, Value: 90})
	want := `{"Integration":"shop","OldestLagSeconds":90,"Stage":"dev","Tenant":"acme","_aws":{"Timestamp":1748779200123,"CloudWatchMetrics":[{"Namespace":"Sluice","Dimensions":[["Stage"],["Stage","Tenant","Integration"]],"Metrics":[{"Name":"OldestLagSeconds","Unit":"Seconds"}]}]}}` + "\n"
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}
