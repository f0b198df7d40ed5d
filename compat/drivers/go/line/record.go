package line

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Partition names one partition, as JSON an object, as a key of JSON "t-0".
type Partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

func (p Partition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.Partition) }

// ParsePartition reads "t-0".
func ParsePartition(text string) (Partition, error) {
	at := strings.LastIndexByte(text, '-')
	number, err := strconv.ParseInt(text[at+1:], 10, 32)
	if at < 0 || err != nil {
		return Partition{}, BadCommand("%q is no partition", text)
	}
	return Partition{text[:at], int32(number)}, nil
}

// Header is a pair, ["name", "base64"] in JSON.
type Header struct {
	Key   string
	Value []byte // nil is null
}

func (h Header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Key, h.Value}) }

func (h *Header) UnmarshalJSON(text []byte) error {
	var pair [2]json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[0], &h.Key); err != nil {
		return err
	}
	return json.Unmarshal(pair[1], &h.Value)
}

// Record is what a consumer gives.
type Record struct {
	Partition
	Offset        int64    `json:"offset"`
	Key           []byte   `json:"key"`
	Value         []byte   `json:"value"`
	Headers       []Header `json:"headers"`
	Timestamp     int64    `json:"timestamp"`
	TimestampType string   `json:"timestamp_type,omitempty"`
	LeaderEpoch   *int32   `json:"leader_epoch,omitempty"`
}

// Outgoing is what a producer is to send.
type Outgoing struct {
	Topic     string   `json:"topic"`
	Partition *int32   `json:"partition"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []Header `json:"headers"`
	Timestamp *int64   `json:"timestamp"`
}

// Time is the record's timestamp, or the zero time.
func (o *Outgoing) Time() time.Time {
	if o.Timestamp == nil {
		return time.Time{}
	}
	return time.UnixMilli(*o.Timestamp)
}

// At is where to begin: an offset, or "earliest", "latest", "committed"; or a time.
type At struct {
	Word   string
	Number int64
}

func (a *At) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &a.Word)
	}
	return json.Unmarshal(text, &a.Number)
}

// Committed is a committed offset, to be set or as it stands.
type Committed struct {
	Offset      int64   `json:"offset"`
	Metadata    *string `json:"metadata"`
	LeaderEpoch *int32  `json:"leader_epoch,omitempty"`
}

// Listed is the answer of ListOffsets for one partition.
type Listed struct {
	Offset      int64  `json:"offset"`
	Timestamp   int64  `json:"timestamp"`
	LeaderEpoch *int32 `json:"leader_epoch,omitempty"`
}

// Keyed is a map by partition with the keys read.
func Keyed[V any](by map[string]V) (map[Partition]V, error) {
	read := make(map[Partition]V, len(by))
	for name, value := range by {
		partition, err := ParsePartition(name)
		if err != nil {
			return nil, err
		}
		read[partition] = value
	}
	return read, nil
}

// ByTopic is a list of partitions as most clients want them.
func ByTopic(partitions []Partition) map[string][]int32 {
	by := map[string][]int32{}
	for _, p := range partitions {
		by[p.Topic] = append(by[p.Topic], p.Partition)
	}
	return by
}

// Flat is the list that ByTopic came from.
func Flat(by map[string][]int32) []Partition {
	flat := []Partition{}
	for topic, numbers := range by {
		for _, number := range numbers {
			flat = append(flat, Partition{topic, number})
		}
	}
	return flat
}

// Epoch is a leader epoch, unless the client does not know it.
func Epoch(epoch int32) *int32 {
	if epoch < 0 {
		return nil
	}
	return &epoch
}
