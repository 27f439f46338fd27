package awsenv

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/sluicehq/sluice/internal/keepstream"
)

// KeepStream returns the handler of the function keepstream, which an alarm invokes.
func KeepStream() (func(context.Context, keepstream.Alarm) error, error) {
	e, err := open()
	if err != nil {
		return nil, err
	}
	k := &keepstream.Keeper{Client: kinesis.NewFromConfig(awsConfig()), Name: e.config.Stream, Logger: e.logger}
	return k.Raise, nil
}
