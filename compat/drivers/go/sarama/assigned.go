package main

import (
	"context"

	"github.com/IBM/sarama"

	"pykbroker.test/compat/drivers/go/line"
)

// assigned reads partitions that no group assigned.
type assigned struct {
	*consumer
	all  sarama.Consumer
	each map[line.Partition]*one
}

// one partition's reading, from one offset on.
type one struct {
	messages sarama.PartitionConsumer
	cancel   context.CancelFunc
	done     chan struct{}
}

var places = map[string]int64{"earliest": sarama.OffsetOldest, "latest": sarama.OffsetNewest}

func (c *consumer) assign(what *line.Subscription) (line.Operations, error) {
	all, err := sarama.NewConsumerFromClient(c.client)
	if err != nil {
		return nil, err
	}
	c.source = all
	c.buffer.Chosen(what.Chosen())
	a := &assigned{c, all, map[line.Partition]*one{}}
	for _, chosen := range what.Assign {
		if err := a.start(chosen.Partition, chosen.Offset); err != nil {
			a.close()
			return nil, err
		}
	}
	operations := c.operations()
	operations["seek"] = line.With(a.seek)
	operations["close"] = line.Without(func() (any, error) { return line.Done{}, a.close() })
	return operations, nil
}

func (a *assigned) start(p line.Partition, at line.At) error {
	offset := at.Number
	if at.Word != "" {
		known := false
		if offset, known = places[at.Word]; !known {
			return line.Unsupported("assigned at %q without a group", at.Word)
		}
	}
	messages, err := a.all.ConsumePartition(p.Topic, p.Partition, offset)
	if err != nil {
		return err
	}
	if at.Word == "" {
		a.buffer.Sought(p, offset)
	}
	ctx, cancel := context.WithCancel(a.ctx)
	started := &one{messages, cancel, make(chan struct{})}
	a.each[p] = started
	go func() {
		defer close(started.done)
		a.pump(ctx, p, messages.Messages(), func(*sarama.ConsumerMessage) {})
	}()
	go func() {
		for failed := range messages.Errors() {
			a.buffer.Failed(explain(failed))
		}
	}()
	return nil
}

func (a *assigned) stop(p line.Partition) error {
	stopping, known := a.each[p]
	if !known {
		return line.BadCommand("%s is not assigned", p)
	}
	delete(a.each, p)
	stopping.cancel()
	<-stopping.done
	stopping.messages.AsyncClose()
	for range stopping.messages.Messages() { // what nobody is to see any more
	}
	return nil
}

func (a *assigned) seek(f line.Seeking) (any, error) {
	if err := a.stop(f.Partition); err != nil {
		return nil, err
	}
	a.buffer.Drop(f.Partition)
	return line.Done{}, a.start(f.Partition, f.Offset)
}

func (a *assigned) close() error {
	for p := range a.each {
		if err := a.stop(p); err != nil {
			return err
		}
	}
	a.cancel()
	if err := a.all.Close(); err != nil {
		return err
	}
	return a.client.Close()
}
