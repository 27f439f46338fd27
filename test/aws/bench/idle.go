package bench

// quotas are what an account gets each month without payment.
type quotas struct {
	queueCalls, keyCalls        float64 // million
	invocations, gbSeconds      float64 // of Lambda
	metrics, alarmMetrics, logs float64 // of CloudWatch; logs in GB
}

// alwaysFree are the quotas that do not end after some months:
// https://aws.amazon.com/free/?awsf.Free%20Tier%20Types=tier%23always-free and
// https://aws.amazon.com/cloudwatch/pricing/. All workloads of an account share them.
var alwaysFree = quotas{
	queueCalls: 1, keyCalls: 0.02, invocations: 1e6, gbSeconds: 400_000,
	metrics: 10, alarmMetrics: 10, logs: 5,
}

// Idle returns the cost of a month without traffic.
func Idle() *Bill { return idleBeyond(quotas{}) }

// IdleFree returns it for an account in which nothing else uses what is always free.
func IdleFree() *Bill { return idleBeyond(alwaysFree) }

func idleBeyond(free quotas) *Bill {
	const sweepMS, sweepMB = 200, 256
	gbSeconds := sweeps * sweepMS / 1000 * sweepMB / 1024
	b := new(Bill)
	b.add(lineStream, hours*usdShardHour)
	b.add(lineKey, usdKMSKey+beyond(keyCallsIdle, free.keyCalls)*usdKMSCall)
	b.add(lineOutages, beyond(millions(polls), free.queueCalls)*usdQueueCall)
	b.add(lineSweep, millions(beyond(sweeps, free.invocations))*usdLambdaCall+beyond(gbSeconds, free.gbSeconds)*usdLambdaGBs)
	b.add(lineLogs, beyond(sweeps*sweepLog/1e9, free.logs)*usdLogGB)
	b.add(lineMetrics, beyond(metricsIdle, free.metrics)*usdMetricMonth+beyond(alarmMetrics, free.alarmMetrics)*usdAlarmMetric)
	return b
}

// beyond returns what of n is not free.
func beyond(n, free float64) float64 { return max(n-free, 0) }

func idle() string {
	var t table
	b := Idle()
	t.header("a month without traffic", "USD")
	for _, l := range b.Lines {
		t.row(l.Name, usd(l.USD))
	}
	t.row("**sum, with one provisioned shard**", "**"+usd(b.Total())+"**")
	t.row("sum, with the stream on demand", usd(b.Total()-b.Of(lineStream)+hours*usdStreamHour))
	t.row("sum, with one shard, in an account that uses AWS's always-free quotas for nothing else", usd(IdleFree().Total()))
	return t.String()
}
