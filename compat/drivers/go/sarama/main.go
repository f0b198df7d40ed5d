// The driver of Sarama.
package main

import (
	"errors"

	"github.com/IBM/sarama"

	"pykbroker.test/compat/drivers/go/line"
)

func main() {
	driver := &line.Driver{
		Client:      "sarama",
		Module:      "github.com/IBM/sarama",
		Partitioner: "fnv1a",
		Capabilities: line.Capabilities(adminOperations(nil),
			"produce", "consume", "groups", "headers", "timestamps", "idempotent", "acks0",
			"static_membership", "cooperative", "range", "roundrobin", "sticky", "auto_commit", "auto_commit_interval",
			"manual_commit", "offsets_for_times", "pause", "isolation", "gzip", "snappy", "lz4",
			"zstd", "partitioner_java", "partitioner_librdkafka", "partitions_explicit", "events",
			"generation"),
		Kinds: map[string]line.Open{
			"producer": openProducer, "consumer": openConsumer, "admin": openAdmin,
		},
		Explain: explain,
	}
	driver.Run()
}

func explain(err error) *line.Error {
	if number, ok := errors.AsType[sarama.KError](err); ok && number != sarama.ErrNoError {
		return line.Numbered(int16(number), err.Error())
	}
	told := line.Explain(err)
	for _, lost := range []error{
		sarama.ErrOutOfBrokers, sarama.ErrNotConnected, sarama.ErrBrokerNotFound,
		sarama.ErrControllerNotAvailable,
	} {
		if errors.Is(err, lost) && told.Code == "CLIENT" {
			told.Code, told.Retriable = "DISCONNECTED", true
		}
	}
	return told
}

// each is the result for one of several that have codes.
func each(number sarama.KError, message *string) any {
	if number == sarama.ErrNoError {
		return line.Done{}
	}
	text := number.Error()
	if message != nil {
		text = *message
	}
	return line.Failed{Error: line.Numbered(int16(number), text)}
}

// common are the settings of every client.
func common(config *line.Config) (*sarama.Config, []string) {
	c := sarama.NewConfig()
	if id, ok := config.String("client_id"); ok {
		c.ClientID = id
	}
	if timeout, ok := config.Millis("request_timeout_ms"); ok {
		c.Net.ReadTimeout, c.Producer.Timeout, c.Admin.Timeout = timeout, timeout, timeout
	}
	if age, ok := config.Millis("metadata_max_age_ms"); ok {
		c.Metadata.RefreshFrequency = age
	}
	return c, config.Bootstrap()
}
