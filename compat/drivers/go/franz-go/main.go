// The driver of franz-go.
package main

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pykbroker.test/compat/drivers/go/line"
)

func main() {
	driver := &line.Driver{
		Client:      "franz-go",
		Module:      "github.com/twmb/franz-go",
		Partitioner: "java",
		Capabilities: line.Capabilities(adminOperations(nil),
			"produce", "consume", "groups", "headers", "timestamps", "idempotent", "acks0",
			"regex", "static_membership", "cooperative", "range", "roundrobin", "sticky",
			"auto_commit", "auto_commit_interval", "manual_commit", "offsets_for_times", "pause", "reset_none",
			"isolation", "gzip", "snappy", "lz4", "zstd", "partitioner_java",
			"partitions_explicit", "events", "generation"),
		Kinds: map[string]line.Open{
			"producer": openProducer, "consumer": openConsumer, "admin": openAdmin,
		},
		Explain: explain,
	}
	driver.Run()
}

func explain(err error) *line.Error {
	if told, ok := errors.AsType[*kerr.Error](err); ok {
		return line.Broker(told.Message, int(told.Code), err.Error(), told.Retriable)
	}
	if errors.Is(err, kgo.ErrRecordTimeout) {
		return &line.Error{Code: "TIMEOUT", Message: err.Error(), Retriable: true}
	}
	return line.Explain(err)
}

// broker is the error of a code in a response, with what the broker said beside it.
func broker(code int16, message *string) error {
	err := kerr.TypedErrorForCode(code)
	if err == nil {
		return nil
	}
	told := line.Broker(err.Message, int(err.Code), err.Description, err.Retriable)
	if message != nil {
		told.Message = *message
	}
	return told
}

// common are the settings of every client.
func common(config *line.Config) []kgo.Opt {
	options := []kgo.Opt{kgo.SeedBrokers(config.Bootstrap()...)}
	if id, ok := config.String("client_id"); ok {
		options = append(options, kgo.ClientID(id))
	}
	if timeout, ok := config.Millis("request_timeout_ms"); ok {
		options = append(options, kgo.RequestTimeoutOverhead(timeout))
	}
	if age, ok := config.Millis("metadata_max_age_ms"); ok {
		options = append(options, kgo.MetadataMaxAge(age))
		if age < 5*time.Second { // the least age, by default, must not be more
			options = append(options, kgo.MetadataMinAge(age))
		}
	}
	return options
}

func open(config *line.Config, options []kgo.Opt) (*kgo.Client, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	return kgo.NewClient(options...)
}
