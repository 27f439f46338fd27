package cost

// Prices are list prices in USD, without the free tier, which ends or is used up
// by whatever else runs in an account.
type Prices struct {
	Region, Noted string

	APICall      float64 // HTTP API, a million calls of up to 512 KB
	LambdaCall   float64 // a million
	LambdaGBs    float64 // a GB-second, arm64
	ShardHour    float64
	ShardWeek    float64 // an hour of a shard's retention from one day to seven
	PutUnit      float64 // a million of 25 KB
	StreamHour   float64 // on demand
	StreamIn     float64 // a GB
	StreamOut    float64 // a GB
	StreamKept   float64 // a GB-month from one day to seven
	WriteUnit    float64 // a million, on demand
	ReadUnit     float64 // a million, on demand
	TableGB      float64 // a GB-month
	RecoveryGB   float64 // point-in-time recovery, a GB-month
	ObjectPut    float64 // a million
	ObjectGB     float64 // a GB-month
	Transition   float64 // Step Functions, a million
	KMSKey       float64 // a month
	KMSCall      float64 // a million
	LogGB        float64 // written
	MetricMonth  float64
	AlarmMonth   float64
	Trace        float64 // a million recorded
	TransferGB   float64 // to the internet
	BusEvent     float64 // EventBridge, a million custom events of up to 64 KB
	BusDelivery  float64 // EventBridge API destinations, a million
	TopicPublish float64 // SNS, a million of up to 64 KB
	TopicHTTP    float64 // SNS, a million deliveries by HTTP
}

// List are the prices of the page. eu-central-1 is 5 to 25 % above it in most
// lines.
var List = Prices{
	Region: "us-east-1", Noted: "November 2026",
	APICall: 1.00, LambdaCall: 0.20, LambdaGBs: 0.0000133334,
	ShardHour: 0.015, ShardWeek: 0.020, PutUnit: 0.014,
	StreamHour: 0.04, StreamIn: 0.08, StreamOut: 0.04, StreamKept: 0.10,
	WriteUnit: 0.625, ReadUnit: 0.125, TableGB: 0.25, RecoveryGB: 0.20,
	ObjectPut: 5.00, ObjectGB: 0.023, Transition: 25.00, KMSKey: 1.00, KMSCall: 3.00,
	LogGB: 0.50, MetricMonth: 0.30, AlarmMonth: 0.10, Trace: 5.00, TransferGB: 0.09,
	BusEvent: 1.00, BusDelivery: 0.20, TopicPublish: 0.50, TopicHTTP: 0.60,
}
