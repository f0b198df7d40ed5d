package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/segmentio/kafka-go"

	"pykbroker.test/compat/drivers/go/line"
)

var groupBalancers = map[string]kafka.GroupBalancer{
	"range": kafka.RangeGroupBalancer{}, "roundrobin": kafka.RoundRobinGroupBalancer{},
}

var isolations = map[string]kafka.IsolationLevel{
	"read_uncommitted": kafka.ReadUncommitted, "read_committed": kafka.ReadCommitted,
}

var places = map[string]int64{"earliest": kafka.FirstOffset, "latest": kafka.LastOffset}

func readerConfig(config *line.Config) kafka.ReaderConfig {
	c := kafka.ReaderConfig{Brokers: config.Bootstrap()}
	if id, ok := config.String("client_id"); ok {
		c.Dialer = &kafka.Dialer{ClientID: id, Timeout: 10 * time.Second, DualStack: true}
	}
	if group, ok := config.String("group"); ok {
		c.GroupID = group
	}
	if initial, ok := line.Choice(config, "reset", places); ok {
		c.StartOffset = initial
	}
	if interval, ok := config.Millis("auto_commit_interval_ms"); ok {
		c.CommitInterval = interval
	}
	if timeout, ok := config.Millis("session_timeout_ms"); ok {
		c.SessionTimeout = timeout
	}
	if interval, ok := config.Millis("heartbeat_interval_ms"); ok {
		c.HeartbeatInterval = interval
	}
	if timeout, ok := config.Millis("rebalance_timeout_ms"); ok {
		c.RebalanceTimeout = timeout
	}
	if balancer, ok := line.Choice(config, "assignor", groupBalancers); ok {
		c.GroupBalancers = []kafka.GroupBalancer{balancer}
	}
	if level, ok := line.Choice(config, "isolation", isolations); ok {
		c.IsolationLevel = level
	}
	if size, ok := config.Int("fetch_min_bytes"); ok {
		c.MinBytes = size
	}
	if wait, ok := config.Millis("fetch_max_wait_ms"); ok {
		c.MaxWait = atLeast(wait)
	}
	if size, ok := config.Int("fetch_max_bytes"); ok {
		c.MaxBytes = size
	}
	return c
}

// reading is one reader and the loop around it.
type reading struct {
	reader *kafka.Reader
	cancel context.CancelFunc
	done   chan struct{}
}

type consumer struct {
	client *kafka.Client
	buffer *line.Buffer
	group  string
	auto   bool
	member *reading                    // of a group
	chosen map[line.Partition]*reading // without one
}

func openConsumer(command *line.Command) (line.Operations, error) {
	var what line.Subscription
	if err := command.Read(&what); err != nil {
		return nil, err
	}
	config, err := command.Config()
	if err != nil {
		return nil, err
	}
	c := readerConfig(config)
	auto, told := config.Bool("auto_commit")
	made := &consumer{
		client: &kafka.Client{Addr: kafka.TCP(c.Brokers...), Transport: &kafka.Transport{}},
		buffer: line.NewBuffer(), group: c.GroupID, auto: !told || auto,
		chosen: map[line.Partition]*reading{},
	}
	switch {
	case what.Pattern != "":
		return nil, line.Unsupported("topics by pattern")
	case what.Topics != nil && c.GroupID == "":
		return nil, line.Unsupported("topics without a group")
	case what.Assign != nil && c.GroupID != "":
		return nil, line.Unsupported("assigned partitions in a group")
	case what.Topics == nil && what.Assign == nil:
		return nil, line.BadCommand("none of topics, pattern, assign")
	}
	if err := config.Check(); err != nil {
		return nil, err
	}
	if what.Topics != nil {
		c.GroupTopics = what.Topics
		if err := c.Validate(); err != nil {
			return nil, err
		}
		made.member = &reading{reader: kafka.NewReader(c)}
		made.begin(made.member)
		return made.operations(), nil
	}
	return made.operations(), made.assign(&what, c)
}

func (c *consumer) assign(what *line.Subscription, config kafka.ReaderConfig) error {
	c.buffer.Chosen(what.Chosen())
	for _, one := range what.Assign {
		config.Topic, config.Partition = one.Topic, int(one.Partition.Partition)
		if err := config.Validate(); err != nil {
			return err
		}
		made := &reading{reader: kafka.NewReader(config)}
		if err := c.place(made, one.Partition, one.Offset); err != nil {
			return err
		}
		c.chosen[one.Partition] = made
		c.begin(made)
	}
	return nil
}

func (c *consumer) place(at *reading, p line.Partition, where line.At) error {
	offset := where.Number
	if where.Word != "" {
		known := false
		if offset, known = places[where.Word]; !known {
			return line.Unsupported("assigned at %q without a group", where.Word)
		}
	}
	if err := at.reader.SetOffset(offset); err != nil {
		return err
	}
	if where.Word == "" {
		c.buffer.Sought(p, offset)
	} else {
		c.buffer.Drop(p)
	}
	return nil
}

// begin starts the application's loop around a reader.
func (c *consumer) begin(at *reading) {
	ctx, cancel := context.WithCancel(context.Background())
	at.cancel, at.done = cancel, make(chan struct{})
	next := at.reader.FetchMessage
	if c.group != "" && c.auto {
		next = at.reader.ReadMessage
	}
	go func() {
		defer close(at.done)
		for c.buffer.Room(ctx) > 0 {
			m, err := next(ctx)
			switch {
			case err == nil:
				c.buffer.Push(incoming(m))
			case ctx.Err() != nil, errors.Is(err, io.EOF):
				return
			default:
				c.buffer.Failed(explain(err))
				select { // rather than to spin on an error that stays
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	}()
}

func (r *reading) stop() {
	r.cancel()
	<-r.done
}

func incoming(m kafka.Message) *line.Record {
	made := &line.Record{
		Partition: line.Partition{Topic: m.Topic, Partition: int32(m.Partition)}, Offset: m.Offset,
		Key: m.Key, Value: m.Value, Headers: make([]line.Header, 0, len(m.Headers)),
		Timestamp: m.Time.UnixMilli(),
	}
	for _, header := range m.Headers {
		made.Headers = append(made.Headers, line.Header{Key: header.Key, Value: header.Value})
	}
	return made
}

func (c *consumer) operations() line.Operations {
	operations := c.buffer.Operations()
	operations["events"] = c.buffer.EventOperation() // of which it has errors alone
	if c.group != "" {
		operations["commit"] = line.With(c.commit)
		operations["committed"] = line.With(func(f line.Partitions) (any, error) {
			offsets, err := fetchCommitted(c.client, c.group, f.Partitions)
			return map[string]any{"offsets": offsets}, err
		})
	} else {
		operations["seek"] = line.With(func(f line.Seeking) (any, error) {
			at, known := c.chosen[f.Partition]
			if !known {
				return nil, line.BadCommand("%s is not assigned", f.Partition)
			}
			at.stop()
			defer c.begin(at)
			return line.Done{}, c.place(at, f.Partition, f.Offset)
		})
	}
	operations["offsets"] = line.With(c.offsets)
	operations["close"] = line.Without(func() (any, error) {
		var failed error
		all := []*reading{c.member}
		for _, at := range c.chosen {
			all = append(all, at)
		}
		for _, at := range all {
			if at != nil {
				at.stop()
				failed = errors.Join(failed, at.reader.Close())
			}
		}
		transport(c.client).CloseIdleConnections()
		return line.Done{}, failed
	})
	return operations
}

func (c *consumer) commit(f line.Committing) (any, error) {
	offsets, err := f.ToCommit(c.buffer)
	if err != nil {
		return nil, err
	}
	messages := []kafka.Message{}
	for p, at := range offsets {
		if at.Metadata != nil {
			return nil, line.Unsupported("a commit with metadata")
		}
		messages = append(messages, kafka.Message{
			Topic: p.Topic, Partition: int(p.Partition), Offset: at.Offset - 1,
		})
	}
	return line.Done{}, c.member.reader.CommitMessages(context.Background(), messages...)
}

func (c *consumer) offsets(f line.Listing) (any, error) {
	listed, err := listOffsets(c.client, f)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for p, at := range listed {
		switch {
		case at.err != nil:
			return nil, at.err
		case at.Offset < 0:
			offsets[p.String()] = nil
		default:
			offsets[p.String()] = at.Listed
		}
	}
	return map[string]any{"offsets": offsets}, nil
}
