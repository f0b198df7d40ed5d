// The driver of kafka-go.
package main

import (
	"errors"
	"io"
	"time"

	"github.com/segmentio/kafka-go"

	"pykbroker.test/compat/drivers/go/line"
)

func main() {
	driver := &line.Driver{
		Client:      "kafka-go",
		Module:      "github.com/segmentio/kafka-go",
		Partitioner: "roundrobin",
		Capabilities: line.Capabilities(adminOperations(nil),
			"produce", "consume", "groups", "headers", "timestamps", "acks0", "range",
			"roundrobin", "auto_commit", "auto_commit_interval", "manual_commit", "offsets_for_times", "isolation",
			"gzip", "snappy", "lz4", "zstd", "partitioner_java", "partitioner_librdkafka",
			"partitions_explicit"),
		Kinds: map[string]line.Open{
			"producer": openProducer, "consumer": openConsumer, "admin": openAdmin,
		},
		Explain: explain,
	}
	driver.Run()
}

func explain(err error) *line.Error {
	if number, ok := errors.AsType[kafka.Error](err); ok {
		return line.Numbered(int16(number), err.Error())
	}
	told := line.Explain(err)
	if errors.Is(err, io.ErrClosedPipe) {
		told.Code = "CLIENT"
	}
	return told
}

// common are the settings of every client that goes through a transport.
func common(config *line.Config) *kafka.Client {
	transport := &kafka.Transport{}
	client := &kafka.Client{Addr: kafka.TCP(config.Bootstrap()...), Transport: transport}
	if id, ok := config.String("client_id"); ok {
		transport.ClientID = id
	}
	if age, ok := config.Millis("metadata_max_age_ms"); ok {
		transport.MetadataTTL = age
	}
	if timeout, ok := config.Millis("request_timeout_ms"); ok {
		client.Timeout = timeout
	}
	return client
}

func transport(client *kafka.Client) *kafka.Transport { return client.Transport.(*kafka.Transport) }

// atLeast is a duration that the client does not take for "none was set".
func atLeast(d time.Duration) time.Duration { return max(d, time.Nanosecond) }
