package main

import (
	"context"

	"github.com/segmentio/kafka-go"

	"pykbroker.test/compat/drivers/go/line"
)

var codecs = map[string]kafka.Compression{
	"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

var balancers = map[string]func() kafka.Balancer{
	"default":    func() kafka.Balancer { return &kafka.RoundRobin{} },
	"java":       func() kafka.Balancer { return kafka.Murmur2Balancer{} },
	"murmur2":    func() kafka.Balancer { return kafka.Murmur2Balancer{} },
	"librdkafka": func() kafka.Balancer { return kafka.CRC32Balancer{} },
}

var acksLevels = map[int]kafka.RequiredAcks{
	0: kafka.RequireNone, 1: kafka.RequireOne, -1: kafka.RequireAll,
}

// sending goes with a message, and comes back with it.
type sending struct {
	partition *int32
	done      func(line.Sent, error)
}

// eitherBalancer takes the partition that a message names, and the client's choice otherwise.
type eitherBalancer struct{ kafka.Balancer }

func (b eitherBalancer) Balance(m kafka.Message, partitions ...int) int {
	if named := m.WriterData.(*sending).partition; named != nil {
		return int(*named)
	}
	return b.Balancer.Balance(m, partitions...)
}

func openProducer(command *line.Command) (line.Operations, error) {
	config, err := command.Config()
	if err != nil {
		return nil, err
	}
	client := common(config)
	writer := &kafka.Writer{
		Addr: client.Addr, Transport: client.Transport, Async: true,
		RequiredAcks: kafka.RequireAll, // as its NewWriter has it
	}
	configure(writer, config)
	if err := config.Check(); err != nil {
		return nil, err
	}
	writer.Completion = func(messages []kafka.Message, err error) {
		for _, m := range messages {
			sent := line.Sent{Partition: int32(m.Partition), Offset: m.Offset}
			if !m.Time.IsZero() {
				at := m.Time.UnixMilli()
				sent.Timestamp = &at
			}
			if writer.RequiredAcks == kafka.RequireNone {
				sent.Offset = -1
			}
			m.WriterData.(*sending).done(sent, err)
		}
	}
	producer := &line.Producer{
		Begin: func(record *line.Outgoing, done func(line.Sent, error)) {
			if err := writer.WriteMessages(context.Background(), outgoing(record, done)); err != nil {
				done(line.Sent{}, err)
			}
		},
		Close: func() error {
			err := writer.Close()
			transport(client).CloseIdleConnections()
			return err
		},
	}
	return producer.Operations(explain), nil
}

func configure(writer *kafka.Writer, config *line.Config) {
	balancer, ok := line.Choice(config, "partitioner", balancers)
	if !ok {
		balancer = balancers["default"]
	}
	writer.Balancer = eitherBalancer{balancer()}
	if acks, ok := config.Int("acks"); ok {
		level, known := acksLevels[acks]
		if !known {
			config.Refuse(line.Unsupported("acks %d", acks))
		}
		writer.RequiredAcks = level
	}
	if idempotent, ok := config.Bool("idempotent"); ok && idempotent {
		config.Refuse(line.Unsupported("an idempotent producer"))
	}
	if codec, ok := line.Choice(config, "compression", codecs); ok {
		writer.Compression = codec
	}
	if timeout, ok := config.Millis("request_timeout_ms"); ok {
		writer.ReadTimeout, writer.WriteTimeout = timeout, timeout
	}
	if linger, ok := config.Millis("linger_ms"); ok {
		writer.BatchTimeout = atLeast(linger)
	}
	if config.Has("batch_bytes") && config.Has("max_request_bytes") {
		config.Refuse(line.Unsupported("batch_bytes and max_request_bytes: they are one limit"))
	}
	for _, name := range []string{"batch_bytes", "max_request_bytes"} {
		if size, ok := config.Int(name); ok {
			writer.BatchBytes = int64(size)
		}
	}
	if retries, ok := config.Int("retries"); ok {
		writer.MaxAttempts = retries + 1
	}
	if backoff, ok := config.Millis("retry_backoff_ms"); ok {
		writer.WriteBackoffMin, writer.WriteBackoffMax = atLeast(backoff), atLeast(backoff)
	}
}

func outgoing(record *line.Outgoing, done func(line.Sent, error)) kafka.Message {
	m := kafka.Message{
		Topic: record.Topic, Key: record.Key, Value: record.Value, Time: record.Time(),
		WriterData: &sending{record.Partition, done},
	}
	for _, header := range record.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: header.Key, Value: header.Value})
	}
	return m
}
