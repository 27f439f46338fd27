package bench

import "testing"

// An idle deployment costs its shard, its key and its alarms: at list prices more than the
// aim of $12, which leaves five cents for all but shard and key, and with all that is always
// free it is the alarms' metrics beyond ten that miss it.
func TestIdleBill(t *testing.T) {
	const shard, key = 730 * 0.015, 1.0
	list := shard + key + 0.02*3 + 5*730*3600/20.0/1e6*0.4 + 12*730*(0.2/1e6+0.2*0.25*usdLambdaGBs) + 12*730*400/1e9*0.5 + 2*0.3 + 15*0.1
	wantUSD(t, "a month without traffic", Idle().Total(), list)
	wantUSD(t, "a month without traffic, beyond the quotas", IdleFree().Total(), shard+key+5*0.1)
	if shard+key+5*usdAlarmMetric <= 12 {
		t.Error("docs/cost.md says that five alarms do not fit beside shard and key")
	}
	if Idle().Total() <= 12 || IdleFree().Total() <= 12 {
		t.Error("docs/cost.md says that the aim of $12 is missed")
	}
}

// What is used beyond a quota is paid.
func TestQuotasEnd(t *testing.T) {
	none := IdleFree()
	for name, change := range map[string]func(*quotas){
		lineKey:     func(q *quotas) { q.keyCalls = 0.01 },
		lineOutages: func(q *quotas) { q.queueCalls = 0.5 },
		lineSweep:   func(q *quotas) { q.invocations = 1000 },
		lineLogs:    func(q *quotas) { q.logs = 0.001 },
		lineMetrics: func(q *quotas) { q.alarmMetrics = 9 },
	} {
		free := alwaysFree
		change(&free)
		if got := idleBeyond(free); got.Of(name) <= none.Of(name) {
			t.Errorf("%s costs %v with a smaller quota, as with all of it", name, got.Of(name))
		}
	}
}
