package main

import (
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"pykbroker.test/compat/drivers/go/line"
)

// member reads what a group assigns. It is the handler of its sessions.
type member struct {
	*consumer
	name   string
	group  sarama.ConsumerGroup
	auto   bool
	topics []string
	over   chan struct{}

	mu      sync.Mutex
	session sarama.ConsumerGroupSession // nil between sessions
	changed chan struct{}               // closed when it is another
	failed  chan error                  // of commits, while one waits for them
}

// joining may take this long while a commit waits for it.
const joining = 30 * time.Second

// commitErrorsCome within this time: the client tells of a failed commit in its channel of errors
// alone, which another goroutine fills.
const commitErrorsCome = 50 * time.Millisecond

func (c *consumer) join(name string, topics []string) (line.Operations, error) {
	group, err := sarama.NewConsumerGroupFromClient(name, c.client)
	if err != nil {
		return nil, err
	}
	c.source = group
	m := &member{
		consumer: c, name: name, group: group, topics: topics, over: make(chan struct{}),
		auto: c.client.Config().Consumer.Offsets.AutoCommit.Enable, failed: make(chan error, 100),
		changed: make(chan struct{}),
	}
	go m.listen()
	go m.consume()
	operations := c.operations()
	operations["commit"] = line.With(m.commit)
	operations["committed"] = line.With(func(f line.Partitions) (any, error) {
		offsets, err := fetchCommitted(c.admin, name, f.Partitions)
		return map[string]any{"offsets": offsets}, err
	})
	operations["close"] = line.Without(func() (any, error) {
		c.cancel()
		err := group.Close()
		<-m.over
		return line.Done{}, errors.Join(err, c.client.Close())
	})
	return operations, nil
}

// consume is the application's loop.
func (m *member) consume() {
	defer close(m.over)
	for m.ctx.Err() == nil {
		err := m.group.Consume(m.ctx, m.topics, m)
		if err == nil || errors.Is(err, sarama.ErrClosedConsumerGroup) || m.ctx.Err() != nil {
			continue
		}
		told := explain(err)
		m.buffer.Failed(told)
		if told.Fatal {
			return
		}
		select { // rather than to spin on an error that stays
		case <-time.After(100 * time.Millisecond):
		case <-m.ctx.Done():
		}
	}
}

func (m *member) listen() {
	for err := range m.group.Errors() {
		m.buffer.Failed(explain(err))
		select {
		case m.failed <- err:
		default: // nobody has waited for long
		}
	}
}

// Setup is called when a session begins.
func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.assigned(session, line.Flat(session.Claims()))
	m.become(session)
	return nil
}

func (m *member) become(session sarama.ConsumerGroupSession) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = session
	close(m.changed)
	m.changed = make(chan struct{})
}

// current is the session, waited for while the member joins.
func (m *member) current() (sarama.ConsumerGroupSession, error) {
	end := time.After(joining)
	for {
		m.mu.Lock()
		session, changed := m.session, m.changed
		m.mu.Unlock()
		if session != nil {
			return session, nil
		}
		select {
		case <-changed:
		case <-m.over:
			return nil, &line.Error{Code: "CLIENT", Message: "the group has no session any more"}
		case <-end:
			return nil, &line.Error{Code: "CLIENT", Message: "no session of the group", Retriable: true}
		}
	}
}

func (m *member) assigned(session sarama.ConsumerGroupSession, partitions []line.Partition) {
	generation := session.GenerationID()
	m.buffer.Assigned(partitions, session.MemberID(), &generation)
}

// Cleanup is called when a session ends.
func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.become(nil)
	m.buffer.Gone("revoked", m.buffer.Assignment(), m.auto)
	return nil
}

// ConsumeClaim reads one partition while it is ours. A cooperative session goes on when it ends.
func (m *member) ConsumeClaim(
	session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim,
) error {
	p := line.Partition{Topic: claim.Topic(), Partition: claim.Partition()}
	if !m.buffer.Has(p) {
		m.assigned(session, []line.Partition{p})
	}
	m.pump(session.Context(), p, claim.Messages(), func(message *sarama.ConsumerMessage) {
		if m.auto {
			session.MarkMessage(message, "")
		}
	})
	if session.Context().Err() == nil {
		m.buffer.Gone("revoked", []line.Partition{p}, m.auto)
	}
	return nil
}

func (m *member) commit(f line.Committing) (any, error) {
	session, err := m.current()
	if err != nil {
		return nil, err
	}
	offsets, err := f.ToCommit(m.buffer)
	if err != nil {
		return nil, err
	}
	for len(m.failed) > 0 {
		<-m.failed
	}
	for p, at := range offsets {
		metadata := ""
		if at.Metadata != nil {
			metadata = *at.Metadata
		}
		// The one moves forward alone, and the other backward.
		session.MarkOffset(p.Topic, p.Partition, at.Offset, metadata)
		session.ResetOffset(p.Topic, p.Partition, at.Offset, metadata)
	}
	session.Commit()
	select {
	case err := <-m.failed:
		return nil, err
	case <-session.Context().Done():
		return nil, &line.Error{Code: "CLIENT", Message: "the session ended", Retriable: true}
	case <-time.After(commitErrorsCome):
		return line.Done{}, nil
	}
}
