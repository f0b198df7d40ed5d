package line

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Sent is where a record went; with acks 0 the offset is -1.
type Sent struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Timestamp *int64 `json:"timestamp,omitempty"`
}

// Producer is a client's producer. Begin hands one record to it; done is called once, later, from
// any goroutine. Flush is nil where the client has none.
type Producer struct {
	Begin func(record *Outgoing, done func(Sent, error))
	Flush func() error
	Close func() error
}

// Operations are those of every producer.
func (p *Producer) Operations(explain func(error) *Error) Operations {
	operations := Operations{
		"send": With(func(f struct {
			Records []Outgoing `json:"records"`
			Each    bool       `json:"each"`
		}) (any, error) {
			return map[string]any{"sent": p.send(f.Records, f.Each, explain)}, nil
		}),
		"fill": With(func(f Filling) (any, error) { return p.fill(f, explain) }),
		"close": Without(func() (any, error) {
			return Done{}, p.Close()
		}),
	}
	if p.Flush != nil {
		operations["flush"] = Without(func() (any, error) { return Done{}, p.Flush() })
	}
	return operations
}

func (p *Producer) send(records []Outgoing, each bool, explain func(error) *Error) []any {
	results := make([]any, len(records))
	var waiting sync.WaitGroup
	for i := range records {
		waiting.Add(1)
		p.Begin(&records[i], func(sent Sent, err error) {
			defer waiting.Done()
			if err != nil {
				results[i] = Failed{explain(err)}
			} else {
				results[i] = sent
			}
		})
		if each {
			waiting.Wait()
		}
	}
	waiting.Wait()
	return results
}

// Filling is the fields of producer.fill.
type Filling struct {
	Topic     string `json:"topic"`
	Count     int    `json:"count"`
	Size      int    `json:"size"`
	Prefix    string `json:"prefix"`
	Partition *int32 `json:"partition"`
	Keys      *int   `json:"keys"`
}

func (f *Filling) record(number int) *Outgoing {
	value := fmt.Appendf(nil, "%s-%d", f.Prefix, number)
	if short := f.Size - len(value); short > 0 {
		value = append(value, bytes.Repeat([]byte{'.'}, short)...)
	}
	record := &Outgoing{Topic: f.Topic, Partition: f.Partition, Value: value}
	if f.Keys != nil && *f.Keys > 0 {
		record.Key = fmt.Appendf(nil, "k%d", number%*f.Keys)
	}
	return record
}

func (p *Producer) fill(f Filling, explain func(error) *Error) (any, error) {
	var mu sync.Mutex
	var waiting sync.WaitGroup
	acked, failed := 0, 0
	codes, offsets := map[string]int{}, map[string][2]int64{}
	began := time.Now()
	for number := range f.Count {
		waiting.Add(1)
		p.Begin(f.record(number), func(sent Sent, err error) {
			defer waiting.Done()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				codes[explain(err).Code]++
				return
			}
			acked++
			name := strconv.Itoa(int(sent.Partition))
			span, seen := offsets[name]
			if !seen {
				span = [2]int64{sent.Offset, sent.Offset}
			}
			offsets[name] = [2]int64{min(span[0], sent.Offset), max(span[1], sent.Offset)}
		})
	}
	waiting.Wait()
	return map[string]any{
		"acked": acked, "failed": failed, "errors": codes, "offsets": offsets,
		"elapsed_ms": milliseconds(time.Since(began)),
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
