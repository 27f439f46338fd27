package statemachine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/go-json-experiment/json"
)

// SQS is the call that a Queue makes; *sqs.Client implements it.
type SQS interface {
	SendMessage(ctx context.Context, in *sqs.SendMessageInput, options ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

// Queue holds the cursors of all integrations but replays between their steps, each as a
// message with its State. Set its fields; it is safe for concurrent use.
type Queue struct {
	SQS SQS
	URL string
}

// longestDelay is SQS's limit of a message's delay. A step that comes earlier than its cursor is
// due does nothing but wait for the rest.
const longestDelay = 15 * time.Minute

// Send puts the state on the queue for its next step. The messages of a tenant are a group, so
// that its backlog does not hold up those of others. A group's name has 128 characters of ASCII
// at most, and a tenant's need not.
func (q *Queue) Send(ctx context.Context, s State) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	group := sha256.Sum256([]byte(s.Tenant))
	_, err = q.SQS.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String(q.URL), MessageBody: aws.String(string(body)),
		DelaySeconds:   int32(min(s.WaitSeconds, int(longestDelay/time.Second))),
		MessageGroupId: aws.String(hex.EncodeToString(group[:16])),
	})
	return err
}

// ReadMessage returns the state that Send has put into a message's body.
func ReadMessage(body string) (State, error) {
	var s State
	err := json.Unmarshal([]byte(body), &s)
	return s, err
}
