package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pykbroker.test/compat/drivers/go/line"
)

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

var partitioners = map[string]kgo.Partitioner{
	"default": kgo.UniformBytesPartitioner(64<<10, true, true, nil),
	"java":    kgo.UniformBytesPartitioner(64<<10, true, true, nil),
	"murmur2": kgo.StickyKeyPartitioner(nil),
}

var acksLevels = map[int]kgo.Acks{0: kgo.NoAck(), 1: kgo.LeaderAck(), -1: kgo.AllISRAcks()}

// manual is the key under which a record's context has its partition.
type manual struct{}

// eitherPartitioner takes the partition that a record names, and the client's choice otherwise.
type eitherPartitioner struct{ kgo.Partitioner }

type eitherTopic struct {
	kgo.TopicPartitioner
	renew func()
}

func (p eitherPartitioner) ForTopic(topic string) kgo.TopicPartitioner {
	inner := p.Partitioner.ForTopic(topic)
	either := eitherTopic{inner, func() {}}
	if batches, ok := inner.(kgo.TopicPartitionerOnNewBatch); ok {
		either.renew = batches.OnNewBatch
	}
	if backup, ok := inner.(kgo.TopicBackupPartitioner); ok {
		return eitherBackup{either, backup}
	}
	return either
}

func named(r *kgo.Record) (int, bool) {
	partition, ok := r.Context.Value(manual{}).(int32)
	return int(partition), ok
}

func (t eitherTopic) RequiresConsistency(r *kgo.Record) bool {
	_, ok := named(r)
	return ok || t.TopicPartitioner.RequiresConsistency(r)
}

func (t eitherTopic) Partition(r *kgo.Record, n int) int {
	if partition, ok := named(r); ok {
		return partition
	}
	return t.TopicPartitioner.Partition(r, n)
}

func (t eitherTopic) OnNewBatch() { t.renew() }

type eitherBackup struct {
	eitherTopic
	backup kgo.TopicBackupPartitioner
}

func (t eitherBackup) PartitionByBackup(r *kgo.Record, n int, by kgo.TopicBackupIter) int {
	if partition, ok := named(r); ok {
		return partition
	}
	return t.backup.PartitionByBackup(r, n, by)
}

func producerOptions(config *line.Config) []kgo.Opt {
	options := common(config)
	add := func(option kgo.Opt) { options = append(options, option) }
	partitioner, ok := line.Choice(config, "partitioner", partitioners)
	if !ok {
		partitioner = partitioners["default"]
	}
	add(kgo.RecordPartitioner(eitherPartitioner{partitioner}))
	idempotent, told := config.Bool("idempotent")
	if acks, ok := config.Int("acks"); ok {
		level, known := acksLevels[acks]
		if !known {
			config.Refuse(line.Unsupported("acks %d", acks))
		}
		add(kgo.RequiredAcks(level))
		if acks != -1 && !told { // which this client insists on being told
			idempotent, told = false, true
		}
	}
	if told && !idempotent {
		add(kgo.DisableIdempotentWrite())
	}
	if timeout, ok := config.Millis("request_timeout_ms"); ok {
		add(kgo.ProduceRequestTimeout(timeout))
	}
	if codec, ok := line.Choice(config, "compression", codecs); ok {
		add(kgo.ProducerBatchCompression(codec))
	}
	if linger, ok := config.Millis("linger_ms"); ok {
		add(kgo.ProducerLinger(linger))
	}
	if config.Has("batch_bytes") && config.Has("max_request_bytes") {
		config.Refuse(line.Unsupported("batch_bytes and max_request_bytes: they are one limit"))
	}
	for _, name := range []string{"batch_bytes", "max_request_bytes"} {
		if size, ok := config.Int(name); ok {
			add(kgo.ProducerBatchMaxBytes(int32(size)))
		}
	}
	if number, ok := config.Int("max_in_flight"); ok {
		add(kgo.MaxProduceRequestsInflightPerBroker(number))
	}
	if number, ok := config.Int("retries"); ok {
		add(kgo.RecordRetries(number))
	}
	if backoff, ok := config.Millis("retry_backoff_ms"); ok {
		add(kgo.RetryBackoffFn(func(int) time.Duration { return backoff }))
	}
	if timeout, ok := config.Millis("delivery_timeout_ms"); ok {
		add(kgo.RecordDeliveryTimeout(timeout))
	}
	return options
}

func openProducer(command *line.Command) (line.Operations, error) {
	config, err := command.Config()
	if err != nil {
		return nil, err
	}
	acks, _ := config.Int("acks")
	unacked := config.Has("acks") && acks == 0
	client, err := open(config, producerOptions(config))
	if err != nil {
		return nil, err
	}
	producer := &line.Producer{
		Begin: func(record *line.Outgoing, done func(line.Sent, error)) {
			client.Produce(context.Background(), outgoing(record), func(r *kgo.Record, err error) {
				at := r.Timestamp.UnixMilli()
				sent := line.Sent{Partition: r.Partition, Offset: r.Offset, Timestamp: &at}
				if unacked {
					sent.Offset = -1
				}
				done(sent, err)
			})
		},
		Flush: func() error { return client.Flush(context.Background()) },
		Close: func() error {
			client.Close()
			return nil
		},
	}
	return producer.Operations(explain), nil
}

func outgoing(record *line.Outgoing) *kgo.Record {
	made := &kgo.Record{
		Topic: record.Topic, Key: record.Key, Value: record.Value, Timestamp: record.Time(),
		Context: context.Background(),
	}
	if record.Partition != nil {
		made.Context = context.WithValue(made.Context, manual{}, *record.Partition)
	}
	for _, header := range record.Headers {
		made.Headers = append(made.Headers, kgo.RecordHeader{Key: header.Key, Value: header.Value})
	}
	return made
}
