package line

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	mostRecords = 10_000
	mostBytes   = 64 << 20
	mostEvents  = 1000
)

// Event is what happened to a consumer's assignment, or an error that its client reported.
type Event struct {
	Event      string      `json:"event"`
	Partitions []Partition `json:"partitions,omitzero"`
	Generation *int32      `json:"generation,omitempty"`
	MemberID   string      `json:"member_id,omitempty"`
	Error      *Error      `json:"error,omitempty"`
}

// Next is where taking goes on in a partition.
type Next struct {
	Offset      int64
	LeaderEpoch *int32
}

// Buffer stands between a client that is polled in the background and the commands that take.
type Buffer struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and renewed whenever something below changes
	waiting  []*Record
	bytes    int
	held     map[Partition][]*Record // of paused partitions
	next     map[Partition]Next      // what was taken
	sought   map[Partition]int64     // and nothing taken since
	events   []Event
	failing  *Error             // the last poll's error
	assigned map[Partition]bool // nil where the client does not tell
}

// NewBuffer is empty.
func NewBuffer() *Buffer {
	return &Buffer{
		changed: make(chan struct{}), held: map[Partition][]*Record{},
		next: map[Partition]Next{}, sought: map[Partition]int64{},
	}
}

func (b *Buffer) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func size(r *Record) int { return len(r.Key) + len(r.Value) + 64 }

// Push adds what a poll gave.
func (b *Buffer) Push(records ...*Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(records) > 0 {
		b.failing = nil
	}
	for _, record := range records {
		if held, paused := b.held[record.Partition]; paused {
			b.held[record.Partition] = append(held, record)
		} else {
			b.waiting = append(b.waiting, record)
			b.bytes += size(record)
		}
	}
	b.change()
}

// Room waits until more may be polled, and says how many records; 0 when the context ends first.
func (b *Buffer) Room(ctx context.Context) int {
	for {
		b.mu.Lock()
		room, changed := mostRecords-len(b.waiting), b.changed
		if b.bytes >= mostBytes {
			room = 0
		}
		b.mu.Unlock()
		if room > 0 {
			return room
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0
		}
	}
}

// Full says whether polling should rest, and gives what is closed when that may have changed.
func (b *Buffer) Full() (bool, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) >= mostRecords || b.bytes >= mostBytes, b.changed
}

// Take waits for count records, or until the time is over, and gives each to visit.
func (b *Buffer) Take(count int, timeout time.Duration, visit func(*Record)) {
	end := time.NewTimer(timeout)
	defer end.Stop()
	for left := count; ; {
		b.mu.Lock()
		number := min(left, len(b.waiting))
		taken := b.waiting[:number]
		b.waiting = b.waiting[number:]
		for _, record := range taken {
			b.bytes -= size(record)
			b.next[record.Partition] = Next{record.Offset + 1, record.LeaderEpoch}
			delete(b.sought, record.Partition)
		}
		changed := b.changed
		if number > 0 {
			b.change()
			changed = b.changed
		}
		b.mu.Unlock()
		for _, record := range taken {
			visit(record)
		}
		if left -= number; left <= 0 {
			return
		}
		select {
		case <-changed:
		case <-end.C:
			return
		}
	}
}

// Pause holds back what waits of these partitions.
func (b *Buffer) Pause(partitions []Partition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range partitions {
		if _, paused := b.held[p]; !paused {
			b.held[p] = b.remove(p)
		}
	}
	b.change()
}

// Resume puts what was held back in front.
func (b *Buffer) Resume(partitions []Partition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range partitions {
		held := b.held[p]
		delete(b.held, p)
		for _, record := range held {
			b.bytes += size(record)
		}
		b.waiting = append(held, b.waiting...)
	}
	b.change()
}

func (b *Buffer) remove(p Partition) (removed []*Record) {
	kept := make([]*Record, 0, len(b.waiting))
	for _, record := range b.waiting {
		if record.Partition == p {
			removed = append(removed, record)
			b.bytes -= size(record)
		} else {
			kept = append(kept, record)
		}
	}
	b.waiting = kept
	return removed
}

// Drop forgets what was fetched of a partition, and what was taken.
func (b *Buffer) Drop(p Partition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(p)
}

func (b *Buffer) drop(p Partition) {
	b.remove(p)
	if _, paused := b.held[p]; paused {
		b.held[p] = nil
	}
	delete(b.next, p)
	delete(b.sought, p)
	b.change()
}

// Sought drops what was fetched of a partition and not taken; taking goes on at the offset.
func (b *Buffer) Sought(p Partition, offset int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(p)
	b.sought[p] = offset
}

// Taken is where each partition of the assignment goes on that something was taken of.
func (b *Buffer) Taken() map[Partition]Next {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := map[Partition]Next{}
	for p, next := range b.next {
		if b.assigned == nil || b.assigned[p] {
			taken[p] = next
		}
	}
	return taken
}

// Position is what taking gives next, where it is known.
func (b *Buffer) Position(p Partition) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if next, ok := b.next[p]; ok {
		return next.Offset, true
	}
	if offset, ok := b.sought[p]; ok {
		return offset, true
	}
	for _, list := range [][]*Record{b.held[p], b.waiting} {
		for _, record := range list {
			if record.Partition == p {
				return record.Offset, true
			}
		}
	}
	return 0, false
}

// Assigned, Revoked and Lost note what happened; member and generation are told where known.
func (b *Buffer) Assigned(partitions []Partition, member string, generation *int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.assigned == nil {
		b.assigned = map[Partition]bool{}
	}
	for _, p := range partitions {
		b.assigned[p] = true
	}
	b.note(Event{Event: "assigned", Partitions: partitions, MemberID: member, Generation: generation})
}

// Has says whether a partition is assigned.
func (b *Buffer) Has(p Partition) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.assigned[p]
}

// Assignment is what is assigned now.
func (b *Buffer) Assignment() []Partition {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.AppendSeq([]Partition{}, maps.Keys(b.assigned))
}

// Chosen notes partitions that no group assigned.
func (b *Buffer) Chosen(partitions []Partition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.assigned = map[Partition]bool{}
	for _, p := range partitions {
		b.assigned[p] = true
	}
}

// Gone takes partitions away: the event is "revoked" or "lost". What waits of them is dropped
// unless keep: a client that commits by itself has committed it.
func (b *Buffer) Gone(event string, partitions []Partition, keep bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range partitions {
		delete(b.assigned, p)
		delete(b.next, p)
		delete(b.sought, p)
		if held, paused := b.held[p]; paused {
			delete(b.held, p)
			b.waiting = append(held, b.waiting...)
			for _, record := range held {
				b.bytes += size(record)
			}
		}
		if !keep {
			b.remove(p)
		}
	}
	if len(partitions) > 0 {
		b.note(Event{Event: event, Partitions: partitions})
	}
}

// Failed notes an error; one that repeats itself is noted once, until records come.
func (b *Buffer) Failed(err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing != nil && b.failing.Code == err.Code && b.failing.Message == err.Message {
		return
	}
	b.failing = err
	b.note(Event{Event: "error", Error: err})
}

func (b *Buffer) note(event Event) {
	if len(b.events) < mostEvents {
		b.events = append(b.events, event)
	}
	b.change()
}

// Events waits for one of the kind, if any is named, and gives all since the last call.
func (b *Buffer) Events(kind string, timeout time.Duration) []Event {
	end := time.NewTimer(timeout)
	defer end.Stop()
	for over := false; ; {
		b.mu.Lock()
		found := kind == "" || over
		for _, event := range b.events {
			found = found || event.Event == kind
		}
		if found {
			events := b.events
			b.events = nil
			b.mu.Unlock()
			if events == nil {
				events = []Event{}
			}
			return events
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-end.C:
			over = true
		}
	}
}
