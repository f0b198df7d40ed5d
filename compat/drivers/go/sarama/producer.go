package main

import (
	"sync"

	"github.com/IBM/sarama"

	"pykbroker.test/compat/drivers/go/line"
)

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4,
	"zstd": sarama.CompressionZSTD,
}

var partitioners = map[string]sarama.PartitionerConstructor{
	"default": sarama.NewHashPartitioner, "java": sarama.NewMurmur2Partitioner,
	"murmur2": sarama.NewMurmur2Partitioner, "librdkafka": sarama.NewConsistentCRCHashPartitioner,
}

// sending goes with a message, and comes back with it.
type sending struct {
	partition *int32
	done      func(line.Sent, error)
}

// eitherPartitioner takes the partition that a message names, and the client's choice otherwise.
type eitherPartitioner struct{ sarama.Partitioner }

func (p eitherPartitioner) Partition(m *sarama.ProducerMessage, n int32) (int32, error) {
	if named := m.Metadata.(*sending).partition; named != nil {
		return *named, nil
	}
	return p.Partitioner.Partition(m, n)
}

func (p eitherPartitioner) MessageRequiresConsistency(m *sarama.ProducerMessage) bool {
	if m.Metadata.(*sending).partition != nil {
		return true
	}
	if dynamic, ok := p.Partitioner.(sarama.DynamicConsistencyPartitioner); ok {
		return dynamic.MessageRequiresConsistency(m)
	}
	return p.RequiresConsistency()
}

func producerConfig(config *line.Config) (*sarama.Config, []string) {
	c, bootstrap := common(config)
	c.Producer.Return.Successes = true
	construct, ok := line.Choice(config, "partitioner", partitioners)
	if !ok {
		construct = partitioners["default"]
	}
	c.Producer.Partitioner = func(topic string) sarama.Partitioner {
		return eitherPartitioner{construct(topic)}
	}
	if codec, ok := line.Choice(config, "compression", codecs); ok {
		c.Producer.Compression = codec
	}
	if idempotent, ok := config.Bool("idempotent"); ok && idempotent { // which insists on these
		c.Producer.Idempotent = true
		c.Producer.RequiredAcks = sarama.WaitForAll
		c.Net.MaxOpenRequests = 1
	}
	if acks, ok := config.Int("acks"); ok {
		c.Producer.RequiredAcks = sarama.RequiredAcks(acks)
	}
	if linger, ok := config.Millis("linger_ms"); ok {
		c.Producer.Flush.Frequency = linger
	}
	if size, ok := config.Int("batch_bytes"); ok {
		c.Producer.Flush.Bytes = size
	}
	if number, ok := config.Int("max_in_flight"); ok {
		c.Net.MaxOpenRequests = number
	}
	if number, ok := config.Int("retries"); ok {
		c.Producer.Retry.Max = number
	}
	if backoff, ok := config.Millis("retry_backoff_ms"); ok {
		c.Producer.Retry.Backoff = backoff
	}
	if size, ok := config.Int("max_request_bytes"); ok {
		c.Producer.MaxMessageBytes = size
	}
	return c, bootstrap
}

func openProducer(command *line.Command) (line.Operations, error) {
	config, err := command.Config()
	if err != nil {
		return nil, err
	}
	c, bootstrap := producerConfig(config)
	if err := config.Check(); err != nil {
		return nil, err
	}
	client, err := sarama.NewAsyncProducer(bootstrap, c)
	if err != nil {
		return nil, err
	}
	var answering sync.WaitGroup
	answering.Go(func() { succeed(client, c.Producer.RequiredAcks == sarama.NoResponse) })
	answering.Go(func() { fail(client) })
	producer := &line.Producer{
		Begin: func(record *line.Outgoing, done func(line.Sent, error)) {
			client.Input() <- outgoing(record, done)
		},
		Close: func() error {
			client.AsyncClose()
			answering.Wait()
			return nil
		},
	}
	return producer.Operations(explain), nil
}

func succeed(client sarama.AsyncProducer, unacked bool) {
	for m := range client.Successes() {
		sent := line.Sent{Partition: m.Partition, Offset: m.Offset}
		if !m.Timestamp.IsZero() {
			at := m.Timestamp.UnixMilli()
			sent.Timestamp = &at
		}
		if unacked {
			sent.Offset = -1
		}
		m.Metadata.(*sending).done(sent, nil)
	}
}

func fail(client sarama.AsyncProducer) {
	for failed := range client.Errors() {
		failed.Msg.Metadata.(*sending).done(line.Sent{}, failed.Err)
	}
}

func outgoing(record *line.Outgoing, done func(line.Sent, error)) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{
		Topic: record.Topic, Timestamp: record.Time(), Metadata: &sending{record.Partition, done},
	}
	if record.Key != nil {
		m.Key = sarama.ByteEncoder(record.Key)
	}
	if record.Value != nil {
		m.Value = sarama.ByteEncoder(record.Value)
	}
	for _, header := range record.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{
			Key: []byte(header.Key), Value: header.Value,
		})
	}
	return m
}
