package bench

// List prices in USD for us-east-1, without the free tier, which expires or may be
// used up by other workloads of the account.
const (
	usdAPICall      = 1.00         // HTTP API, a million calls of up to 512 KB
	usdLambdaCall   = 0.20         // a million
	usdLambdaGBs    = 0.0000133334 // a GB-second, arm64
	usdShardHour    = 0.015
	usdShardWeek    = 0.020   // an hour of a shard's retention from one day to seven
	usdPutUnit      = 0.014   // a million of 25 KB
	usdStreamHour   = 0.04    // on demand
	usdStreamIn     = 0.08    // a GB
	usdStreamOut    = 0.04    // a GB
	usdStreamKept   = 0.10    // a GB-month from one day to seven
	usdWriteUnit    = 0.625   // a million, on demand
	usdReadUnit     = 0.125   // a million, on demand
	usdTableGB      = 0.25    // a GB-month
	usdRecoveryGB   = 0.20    // point-in-time recovery, a GB-month, which segments do not have
	usdObjectPut    = 5.00    // a million
	usdObjectGet    = 0.40    // a million
	usdWriteHour    = 0.00065 // a write unit a second, provisioned, an hour
	usdReadHour     = 0.00013 // a read unit a second, provisioned, an hour
	usdObjectGB     = 0.023   // a GB-month
	usdTransition   = 25.00   // Step Functions, a million
	usdQueueCall    = 0.40    // SQS, standard, a million requests
	usdKMSKey       = 1.00    // a month
	usdKMSCall      = 3.00    // a million
	usdLogGB        = 0.50    // written
	usdMetricMonth  = 0.30
	usdAlarmMetric  = 0.10 // a month and metric of an alarm
	usdTrace        = 5.00 // a million recorded
	usdTransferGB   = 0.09 // to the internet
	usdBusEvent     = 1.00 // EventBridge, a million custom events of up to 64 KB
	usdBusDelivery  = 0.20 // EventBridge API destinations, a million
	usdTopicPublish = 0.50 // SNS, a million of up to 64 KB
	usdTopicHTTP    = 0.60 // SNS, a million deliveries by HTTP
)
