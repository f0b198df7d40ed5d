package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pykbroker.test/compat/drivers/go/line"
)

var balancers = map[string]kgo.GroupBalancer{
	"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
	"sticky": kgo.StickyBalancer(), "cooperative": kgo.CooperativeStickyBalancer(),
}

var isolations = map[string]kgo.IsolationLevel{
	"read_uncommitted": kgo.ReadUncommitted(), "read_committed": kgo.ReadCommitted(),
}

type consumer struct {
	client  *kgo.Client
	admin   *kadm.Client
	buffer  *line.Buffer
	group   string
	keeps   bool // what was fetched is committed by the client
	most    int  // records of one poll
	polling sync.Mutex
	wake    context.CancelFunc // ends the poll that runs
	waking  sync.Mutex
	closed  bool
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
	c := &consumer{buffer: line.NewBuffer(), wake: func() {}}
	options := append(common(config), fetchOptions(config)...)
	options = append(options, c.groupOptions(config)...)
	c.most, _ = config.Int("max_poll_records")
	subscribed, err := c.subscription(&what)
	if err != nil {
		return nil, err
	}
	if c.client, err = open(config, append(options, subscribed...)); err != nil {
		return nil, err
	}
	c.admin = kadm.NewClient(c.client)
	go c.poll()
	return c.operations(), nil
}

func fetchOptions(config *line.Config) (options []kgo.Opt) {
	add := func(option kgo.Opt) { options = append(options, option) }
	if rack, ok := config.String("rack"); ok {
		add(kgo.Rack(rack))
	}
	if level, ok := line.Choice(config, "isolation", isolations); ok {
		add(kgo.FetchIsolationLevel(level))
	}
	if size, ok := config.Int("fetch_min_bytes"); ok {
		add(kgo.FetchMinBytes(int32(size)))
	}
	if wait, ok := config.Millis("fetch_max_wait_ms"); ok {
		add(kgo.FetchMaxWait(wait))
	}
	if size, ok := config.Int("fetch_max_bytes"); ok {
		add(kgo.FetchMaxBytes(int32(size)))
	}
	if size, ok := config.Int("partition_max_bytes"); ok {
		add(kgo.FetchMaxPartitionBytes(int32(size)))
	}
	if check, ok := config.Bool("check_crcs"); ok && !check {
		add(kgo.DisableFetchCRCValidation())
	}
	if allow, ok := config.Bool("allow_auto_create_topics"); ok && allow {
		add(kgo.AllowAutoTopicCreation())
	}
	reset, _ := config.String("reset")
	switch reset {
	case "":
	case "earliest":
		add(kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
		add(kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	case "latest":
		add(kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()))
		add(kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	case "none":
		add(kgo.ConsumeStartOffset(kgo.NewOffset().AtCommitted()))
		add(kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	default:
		config.Refuse(line.Unsupported("reset %q", reset))
	}
	return options
}

func (c *consumer) groupOptions(config *line.Config) (options []kgo.Opt) {
	add := func(option kgo.Opt) { options = append(options, option) }
	auto, told := config.Bool("auto_commit")
	interval, often := config.Millis("auto_commit_interval_ms")
	instance, static := config.String("instance_id")
	session, sessions := config.Millis("session_timeout_ms")
	beat, beats := config.Millis("heartbeat_interval_ms")
	rebalance, rebalances := config.Millis("rebalance_timeout_ms")
	balancer, balances := line.Choice(config, "assignor", balancers)
	var grouped bool
	if c.group, grouped = config.String("group"); !grouped {
		return nil // where these mean nothing
	}
	c.keeps = !told || auto
	add(kgo.ConsumerGroup(c.group))
	if !c.keeps {
		add(kgo.DisableAutoCommit())
	}
	if often && c.keeps {
		add(kgo.AutoCommitInterval(interval))
	}
	if static {
		add(kgo.InstanceID(instance))
	}
	if sessions {
		add(kgo.SessionTimeout(session))
	}
	if beats {
		add(kgo.HeartbeatInterval(beat))
	}
	if rebalances {
		add(kgo.RebalanceTimeout(rebalance))
	}
	if balances {
		add(kgo.Balancers(balancer))
	}
	add(kgo.OnPartitionsAssigned(func(_ context.Context, client *kgo.Client, by map[string][]int32) {
		member, generation := client.GroupMetadata()
		c.buffer.Assigned(line.Flat(by), member, &generation)
	}))
	add(kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, by map[string][]int32) {
		if c.keeps { // as the client does by itself where nobody asks to be told
			if err := client.CommitUncommittedOffsets(ctx); err != nil {
				c.buffer.Failed(explain(err))
			}
		}
		c.buffer.Gone("revoked", line.Flat(by), c.keeps)
	}))
	add(kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, by map[string][]int32) {
		c.buffer.Gone("lost", line.Flat(by), c.keeps)
	}))
	return options
}

func (c *consumer) subscription(what *line.Subscription) ([]kgo.Opt, error) {
	switch {
	case what.Topics != nil:
		return []kgo.Opt{kgo.ConsumeTopics(what.Topics...)}, nil
	case what.Pattern != "":
		return []kgo.Opt{kgo.ConsumeRegex(), kgo.ConsumeTopics(what.Pattern)}, nil
	case what.Assign != nil && c.group != "":
		return nil, line.Unsupported("assigned partitions in a group")
	case what.Assign == nil:
		return nil, line.BadCommand("none of topics, pattern, assign")
	}
	c.buffer.Chosen(what.Chosen())
	by := map[string]map[int32]kgo.Offset{}
	for _, one := range what.Assign {
		if by[one.Topic] == nil {
			by[one.Topic] = map[int32]kgo.Offset{}
		}
		offset := kgo.NewOffset()
		switch one.Offset.Word {
		case "":
			offset = offset.At(one.Offset.Number)
			c.buffer.Sought(one.Partition, one.Offset.Number)
		case "earliest":
			offset = offset.AtStart()
		case "latest":
			offset = offset.AtEnd()
		default:
			return nil, line.Unsupported("assigned at %q without a group", one.Offset.Word)
		}
		by[one.Topic][one.Partition.Partition] = offset
	}
	return []kgo.Opt{kgo.ConsumePartitions(by)}, nil
}

// poll is the application's loop.
func (c *consumer) poll() {
	for c.pollOnce() {
	}
}

func (c *consumer) pollOnce() bool {
	c.polling.Lock()
	defer c.polling.Unlock()
	c.waking.Lock()
	if c.closed {
		c.waking.Unlock()
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.wake = cancel
	c.waking.Unlock()
	defer cancel()
	room := c.buffer.Room(ctx)
	if room == 0 {
		return true
	}
	if c.most > 0 {
		room = min(room, c.most)
	}
	fetches := c.client.PollRecords(ctx, room)
	var records []*line.Record
	fetches.EachRecord(func(r *kgo.Record) { records = append(records, incoming(r)) })
	c.buffer.Push(records...)
	fatal := false
	fetches.EachError(func(_ string, _ int32, err error) {
		if errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
			return
		}
		told := explain(err)
		c.buffer.Failed(told)
		fatal = fatal || told.Fatal
	})
	return !fatal
}

// between does something while no poll runs.
func (c *consumer) between(work func() error) error {
	done := make(chan struct{})
	defer close(done)
	go func() { // the poll that runs may be one that had not begun when it was first woken
		for {
			c.waking.Lock()
			c.wake()
			c.waking.Unlock()
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	c.polling.Lock()
	defer c.polling.Unlock()
	return work()
}

func incoming(r *kgo.Record) *line.Record {
	kind := "create"
	if r.Attrs.TimestampType() == 1 {
		kind = "append"
	}
	made := &line.Record{
		Partition: line.Partition{Topic: r.Topic, Partition: r.Partition}, Offset: r.Offset,
		Key: r.Key, Value: r.Value, Headers: make([]line.Header, 0, len(r.Headers)),
		Timestamp: r.Timestamp.UnixMilli(), TimestampType: kind, LeaderEpoch: line.Epoch(r.LeaderEpoch),
	}
	for _, header := range r.Headers {
		made.Headers = append(made.Headers, line.Header{Key: header.Key, Value: header.Value})
	}
	return made
}

func (c *consumer) operations() line.Operations {
	operations := c.buffer.Operations()
	operations["events"] = c.buffer.EventOperation()
	if c.group != "" {
		operations["commit"] = line.With(c.commit)
		operations["committed"] = line.With(c.committed)
	}
	operations["seek"] = line.With(c.seek)
	operations["pause"] = line.With(func(f line.Partitions) (any, error) {
		c.client.PauseFetchPartitions(line.ByTopic(f.Partitions))
		c.buffer.Pause(f.Partitions)
		return line.Done{}, nil
	})
	operations["resume"] = line.With(func(f line.Partitions) (any, error) {
		c.client.ResumeFetchPartitions(line.ByTopic(f.Partitions))
		c.buffer.Resume(f.Partitions)
		return line.Done{}, nil
	})
	operations["offsets"] = line.With(c.offsets)
	operations["close"] = line.Without(func() (any, error) {
		c.waking.Lock()
		c.closed = true
		c.wake()
		c.waking.Unlock()
		c.client.Close()
		return line.Done{}, nil
	})
	return operations
}

func (c *consumer) commit(f line.Committing) (any, error) {
	offsets, err := f.ToCommit(c.buffer)
	if err != nil {
		return nil, err
	}
	commit := map[string]map[int32]kgo.EpochOffset{}
	for p, at := range offsets {
		if commit[p.Topic] == nil {
			commit[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		epoch := int32(-1)
		if at.LeaderEpoch != nil {
			epoch = *at.LeaderEpoch
		}
		commit[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: epoch, Offset: at.Offset}
	}
	ctx := kgo.PreCommitFnContext(context.Background(), func(request *kmsg.OffsetCommitRequest) error {
		for _, topic := range request.Topics {
			for i := range topic.Partitions {
				p := &topic.Partitions[i]
				at := offsets[line.Partition{Topic: topic.Topic, Partition: p.Partition}]
				if at.Metadata != nil {
					p.Metadata = at.Metadata
				}
			}
		}
		return nil
	})
	var failed error
	c.client.CommitOffsetsSync(ctx, commit, func(
		_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error,
	) {
		failed = err
		if err != nil {
			return
		}
		for _, topic := range response.Topics {
			for _, p := range topic.Partitions {
				failed = errors.Join(failed, kerr.ErrorForCode(p.ErrorCode))
			}
		}
	})
	return line.Done{}, failed
}

func (c *consumer) committed(f line.Partitions) (any, error) {
	offsets, err := fetchCommitted(c.admin, c.group, f.Partitions)
	return map[string]any{"offsets": offsets}, err
}

func (c *consumer) seek(f line.Seeking) (any, error) {
	offset := f.Offset.Number
	if f.Offset.Word != "" {
		listed, err := listOffsets(c.client, line.Listing{
			Partitions: []line.Partition{f.Partition}, At: f.Offset,
		})
		if err != nil {
			return nil, err
		}
		at := listed[f.Partition]
		if at.err != nil {
			return nil, at.err
		}
		offset = at.Offset
	}
	return line.Done{}, c.between(func() error {
		c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{
			f.Partition.Topic: {f.Partition.Partition: {Epoch: -1, Offset: offset}},
		})
		c.buffer.Sought(f.Partition, offset)
		return nil
	})
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
