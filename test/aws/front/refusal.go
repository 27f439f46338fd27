package front

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

// refusal is an error response of a service.
type refusal struct {
	status int
	code   string
	text   string // of the message; "" for one that says that the test injected it
}

// refusals are the errors of each service; "" is the default.
var refusals = map[string]map[Kind]refusal{
	"": {
		Throttle: {status: 400, code: "ThrottlingException"},
		Error500: {status: 500, code: "InternalFailure"},
		Denied:   {status: 400, code: "AccessDeniedException"},
		Gone:     {status: 400, code: "ResourceNotFoundException"},
	},
	DynamoDB: {
		Throttle: {status: 400, code: "ProvisionedThroughputExceededException"},
		Error500: {status: 500, code: "InternalServerError"},
	},
	Kinesis: {Throttle: {status: 400, code: "ProvisionedThroughputExceededException"}},
	KMS: {
		Error500: {status: 500, code: "KMSInternalException"},
		Gone:     {status: 400, code: "NotFoundException"},
	},
	StepFunctions: {Gone: {status: 400, code: "StateMachineDoesNotExist"}},
	SQS: {
		Throttle: {status: 400, code: "RequestThrottled"},
		Gone:     {status: 400, code: "QueueDoesNotExist"},
	},
	S3: {
		Throttle: {status: 503, code: "SlowDown"},
		Error500: {status: 500, code: "InternalError"},
		Denied:   {status: 403, code: "AccessDenied"},
		Gone:     {status: 404, code: "NoSuchBucket"},
	},
	Lambda: {
		Throttle: {status: 429, code: "TooManyRequestsException"},
		Error500: {status: 500, code: "ServiceException"},
		Denied:   {status: 403, code: "AccessDeniedException"},
		Gone:     {status: 404, code: "ResourceNotFoundException"},
	},
}

// spaces are the namespaces of services that qualify error names.
var spaces = map[string]string{
	DynamoDB: "com.amazonaws.dynamodb.v20120810#",
	SQS:      "com.amazonaws.sqs#",
}

func refuse(w http.ResponseWriter, r *http.Request, c call, kind Kind) {
	if c.service == DynamoDB && (kind == Conflict || kind == Throttle) {
		if code, reasons := canceled(c, kind); code != "" {
			writeJSON(w, c, refusal{status: 400, code: code}, reasons)
			return
		}
	}
	if kind == Conflict {
		kind = Throttle
	}
	with, ok := refusals[c.service][kind]
	if !ok {
		with = refusals[""][kind]
	}
	switch c.service {
	case S3:
		writeXML(w, r, with)
	case Lambda:
		writeLambda(w, with)
	default:
		writeJSON(w, c, with, nil)
	}
}

// canceled returns the error of a throttled or conflicting transaction, or of a
// write that conflicts with one. The first item is the cause.
func canceled(c call, kind Kind) (code string, reasons []reason) {
	switch c.op {
	case "TransactWriteItems", "TransactGetItems":
	case "PutItem", "UpdateItem", "DeleteItem":
		if kind == Conflict {
			return "TransactionConflictException", nil
		}
		return "", nil
	default:
		return "", nil
	}
	var items struct{ TransactItems []json.RawMessage }
	if err := json.Unmarshal(c.body, &items); err != nil || len(items.TransactItems) == 0 {
		return "", nil
	}
	reasons = make([]reason, len(items.TransactItems))
	for i := range reasons {
		reasons[i].Code = "None"
	}
	reasons[0] = reason{"TransactionConflict", "Transaction is ongoing for the item"}
	if kind == Throttle {
		reasons[0] = reason{"ThrottlingError", "Throughput exceeds the current capacity of your table or index"}
	}
	return "TransactionCanceledException", reasons
}

type reason struct{ Code, Message string }

func (r refusal) message() string {
	if r.text != "" {
		return r.text
	}
	return "Injected by the test: " + r.code
}

func writeJSON(w http.ResponseWriter, c call, with refusal, reasons []reason) {
	text := with.message()
	body := map[string]any{"__type": spaces[c.service] + with.code}
	if reasons != nil {
		var codes []string
		for _, r := range reasons {
			codes = append(codes, r.Code)
		}
		text = fmt.Sprintf("Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
		body["CancellationReasons"] = reasons
	}
	body["message"] = text
	version := "1.0"
	if c.service == Kinesis || c.service == KMS {
		version = "1.1"
	}
	if c.service == SQS {
		code := with.code
		if code == "QueueDoesNotExist" {
			code = "AWS.SimpleQueueService.NonExistentQueue"
		}
		w.Header().Set("X-Amzn-Query-Error", code+";Sender") // read by older clients
	}
	answer(w, with.status, "application/x-amz-json-"+version, body)
}

func writeLambda(w http.ResponseWriter, with refusal) {
	w.Header().Set("X-Amzn-ErrorType", with.code)
	kind := "User"
	if with.status >= 500 {
		kind = "Service"
	}
	answer(w, with.status, "application/json", map[string]string{"Type": kind, "Message": with.message()})
}

func writeXML(w http.ResponseWriter, r *http.Request, with refusal) {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, err := xml.Marshal(struct {
		XMLName    xml.Name `xml:"Error"`
		Code       string
		Message    string
		BucketName string
		RequestID  string `xml:"RequestId"`
	}{Code: with.code, Message: with.message(), BucketName: bucket, RequestID: requestID})
	if err != nil {
		panic(err)
	}
	w.Header().Set("X-Amz-Request-Id", requestID)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(with.status)
	_, _ = w.Write(append([]byte(xml.Header), body...)) // the caller is gone, if anything
}

// requestID is the request ID of all responses by the front itself.
const requestID = "00000000-0000-0000-0000-00000000f00d"

func answer(w http.ResponseWriter, status int, kind string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller is gone, if anything
}
