package main

import (
	"context"
	"sync"

	"github.com/IBM/sarama"

	"pykbroker.test/compat/drivers/go/line"
)

var strategies = map[string]func() sarama.BalanceStrategy{
	"range": sarama.NewBalanceStrategyRange, "roundrobin": sarama.NewBalanceStrategyRoundRobin,
	"sticky": sarama.NewBalanceStrategySticky, "cooperative": sarama.NewBalanceStrategyCooperativeSticky,
}

var isolations = map[string]sarama.IsolationLevel{
	"read_uncommitted": sarama.ReadUncommitted, "read_committed": sarama.ReadCommitted,
}

func consumerConfig(config *line.Config) (*sarama.Config, []string) {
	c, bootstrap := common(config)
	c.Consumer.Return.Errors = true
	if rack, ok := config.String("rack"); ok {
		c.RackID = rack
	}
	if level, ok := line.Choice(config, "isolation", isolations); ok {
		c.Consumer.IsolationLevel = level
	}
	if size, ok := config.Int("fetch_min_bytes"); ok {
		c.Consumer.Fetch.Min = int32(size)
	}
	if wait, ok := config.Millis("fetch_max_wait_ms"); ok {
		c.Consumer.MaxWaitTime = wait
	}
	if size, ok := config.Int("fetch_max_bytes"); ok {
		c.Consumer.Fetch.MaxBytes = int32(size)
	}
	if size, ok := config.Int("partition_max_bytes"); ok {
		c.Consumer.Fetch.Default = int32(size)
	}
	if allow, ok := config.Bool("allow_auto_create_topics"); ok {
		c.Metadata.AllowAutoTopicCreation = allow
	}
	initial, ok := line.Choice(config, "reset", map[string]int64{
		"earliest": sarama.OffsetOldest, "latest": sarama.OffsetNewest,
	})
	if ok {
		c.Consumer.Offsets.Initial = initial
	}
	groupConfig(config, c)
	return c, bootstrap
}

func groupConfig(config *line.Config, c *sarama.Config) {
	if auto, ok := config.Bool("auto_commit"); ok {
		c.Consumer.Offsets.AutoCommit.Enable = auto
	}
	if interval, ok := config.Millis("auto_commit_interval_ms"); ok {
		c.Consumer.Offsets.AutoCommit.Interval = interval
	}
	if instance, ok := config.String("instance_id"); ok {
		c.Consumer.Group.InstanceId = instance
	}
	if timeout, ok := config.Millis("session_timeout_ms"); ok {
		c.Consumer.Group.Session.Timeout = timeout
	}
	if interval, ok := config.Millis("heartbeat_interval_ms"); ok {
		c.Consumer.Group.Heartbeat.Interval = interval
	}
	if timeout, ok := config.Millis("rebalance_timeout_ms"); ok {
		c.Consumer.Group.Rebalance.Timeout = timeout
	}
	if strategy, ok := line.Choice(config, "assignor", strategies); ok {
		c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy()}
	}
}

// pausing is what a group and a consumer of chosen partitions have in common.
type pausing interface {
	Pause(map[string][]int32)
	Resume(map[string][]int32)
}

type consumer struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
	buffer *line.Buffer
	source pausing
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	paused map[line.Partition]bool // by command
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
	c, bootstrap := consumerConfig(config)
	group, grouped := config.String("group")
	if err := config.Check(); err != nil {
		return nil, err
	}
	switch {
	case what.Pattern != "":
		return nil, line.Unsupported("topics by pattern")
	case what.Topics != nil && !grouped:
		return nil, line.Unsupported("topics without a group")
	case what.Assign != nil && grouped:
		return nil, line.Unsupported("assigned partitions in a group")
	case what.Topics == nil && what.Assign == nil:
		return nil, line.BadCommand("none of topics, pattern, assign")
	}
	made := &consumer{buffer: line.NewBuffer(), paused: map[line.Partition]bool{}}
	if made.client, err = sarama.NewClient(bootstrap, c); err != nil {
		return nil, err
	}
	if made.admin, err = sarama.NewClusterAdminFromClient(made.client); err != nil {
		return nil, err
	}
	made.ctx, made.cancel = context.WithCancel(context.Background())
	if grouped {
		return made.join(group, what.Topics)
	}
	return made.assign(&what)
}

// pump takes what a partition gives, until the context or the channel ends; taken is told of each.
func (c *consumer) pump(
	ctx context.Context, p line.Partition, messages <-chan *sarama.ConsumerMessage,
	taken func(*sarama.ConsumerMessage),
) {
	alone := map[string][]int32{p.Topic: {p.Partition}}
	resting := false
	for {
		full, changed := c.buffer.Full()
		if full { // a claim must go on reading, or it would not see its end
			c.source.Pause(alone)
			resting = true
		} else if resting {
			resting = false
			c.mu.Lock()
			if !c.paused[p] {
				c.source.Resume(alone)
			}
			c.mu.Unlock()
		}
		if !resting {
			changed = nil
		}
		select {
		case m, open := <-messages:
			if !open {
				return
			}
			c.buffer.Push(incoming(m))
			taken(m)
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func incoming(m *sarama.ConsumerMessage) *line.Record {
	made := &line.Record{
		Partition: line.Partition{Topic: m.Topic, Partition: m.Partition}, Offset: m.Offset,
		Key: m.Key, Value: m.Value, Headers: make([]line.Header, 0, len(m.Headers)),
		Timestamp: m.Timestamp.UnixMilli(),
	}
	for _, header := range m.Headers {
		made.Headers = append(made.Headers, line.Header{
			Key: string(header.Key), Value: header.Value,
		})
	}
	return made
}

func (c *consumer) operations() line.Operations {
	operations := c.buffer.Operations()
	operations["events"] = c.buffer.EventOperation()
	operations["pause"] = line.With(func(f line.Partitions) (any, error) {
		c.setPaused(f.Partitions, true)
		c.source.Pause(line.ByTopic(f.Partitions))
		c.buffer.Pause(f.Partitions)
		return line.Done{}, nil
	})
	operations["resume"] = line.With(func(f line.Partitions) (any, error) {
		c.setPaused(f.Partitions, false)
		c.source.Resume(line.ByTopic(f.Partitions))
		c.buffer.Resume(f.Partitions)
		return line.Done{}, nil
	})
	operations["offsets"] = line.With(func(f line.Listing) (any, error) {
		listed, err := listOffsets(c.admin, f)
		if err != nil {
			return nil, err
		}
		offsets := map[string]any{}
		for p, at := range listed {
			switch {
			case at.Err != nil:
				return nil, at.Err
			case at.Offset < 0:
				offsets[p.String()] = nil
			default:
				offsets[p.String()] = line.Listed{Offset: at.Offset, Timestamp: at.Timestamp}
			}
		}
		return map[string]any{"offsets": offsets}, nil
	})
	return operations
}

func (c *consumer) setPaused(partitions []line.Partition, paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range partitions {
		c.paused[p] = paused
	}
}
