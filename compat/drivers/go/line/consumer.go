package line

import (
	"time"
)

// Subscription is what consumer.open says to read.
type Subscription struct {
	Topics  []string `json:"topics"`
	Pattern string   `json:"pattern"`
	Assign  []struct {
		Partition
		Offset At `json:"offset"`
	} `json:"assign"`
}

// Chosen are the partitions of Assign.
func (s *Subscription) Chosen() []Partition {
	chosen := make([]Partition, 0, len(s.Assign))
	for _, one := range s.Assign {
		chosen = append(chosen, one.Partition)
	}
	return chosen
}

type taking struct {
	Count     int     `json:"count"`
	TimeoutMS float64 `json:"timeout_ms"`
}

func (t taking) timeout() time.Duration {
	return time.Duration(t.TimeoutMS * float64(time.Millisecond))
}

// Partitions are the fields of a command on some partitions.
type Partitions struct {
	Partitions []Partition `json:"partitions"`
}

// Seeking is the fields of consumer.seek.
type Seeking struct {
	Partition Partition `json:"partition"`
	Offset    At        `json:"offset"`
}

// Listing is the fields of consumer.offsets and admin.list_offsets.
type Listing struct {
	Partitions []Partition `json:"partitions"`
	At         At          `json:"at"`
	Isolation  string      `json:"isolation"`
}

// Committing is the fields of consumer.commit.
type Committing struct {
	Offsets map[string]Committed `json:"offsets"`
}

// ToCommit is what the command names, or all that was taken.
func (c Committing) ToCommit(b *Buffer) (map[Partition]Committed, error) {
	if c.Offsets != nil {
		return Keyed(c.Offsets)
	}
	all := map[Partition]Committed{}
	for p, next := range b.Taken() {
		all[p] = Committed{Offset: next.Offset, LeaderEpoch: next.LeaderEpoch}
	}
	return all, nil
}

// Operations are those that need the buffer alone.
func (b *Buffer) Operations() Operations {
	return Operations{
		"take": With(func(f taking) (any, error) {
			records := []*Record{}
			b.Take(f.Count, f.timeout(), func(r *Record) { records = append(records, r) })
			return map[string]any{"records": records}, nil
		}),
		"drain": With(func(f taking) (any, error) { return b.drain(f), nil }),
		"position": With(func(f Partitions) (any, error) {
			offsets := map[string]int64{}
			for _, p := range f.Partitions {
				if offset, known := b.Position(p); known {
					offsets[p.String()] = offset
				}
			}
			return map[string]any{"offsets": offsets}, nil
		}),
	}
}

// EventOperation is for clients that know of assignments.
func (b *Buffer) EventOperation() Operation {
	return With(func(f struct {
		WaitFor   string  `json:"wait_for"`
		TimeoutMS float64 `json:"timeout_ms"`
	}) (any, error) {
		timeout := time.Duration(f.TimeoutMS * float64(time.Millisecond))
		events := b.Events(f.WaitFor, timeout)
		return map[string]any{"events": events, "assignment": b.Assignment()}, nil
	})
}

func (b *Buffer) drain(f taking) any {
	type span struct {
		First int64 `json:"first"`
		Last  int64 `json:"last"`
		Count int   `json:"count"`
	}
	partitions := map[Partition]*span{}
	count, bytes, ordered := 0, 0, true
	began := time.Now()
	b.Take(f.Count, f.timeout(), func(r *Record) {
		count++
		bytes += len(r.Value)
		at, seen := partitions[r.Partition]
		if !seen {
			at = &span{First: r.Offset, Last: -1}
			partitions[r.Partition] = at
		}
		ordered = ordered && r.Offset > at.Last
		at.Last = r.Offset
		at.Count++
	})
	named := map[string]*span{}
	for p, at := range partitions {
		named[p.String()] = at
	}
	return map[string]any{
		"count": count, "bytes": bytes, "elapsed_ms": milliseconds(time.Since(began)),
		"partitions": named, "in_order": ordered,
	}
}
