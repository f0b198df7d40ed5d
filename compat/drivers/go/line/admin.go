package line

// NewTopic is one topic of admin.create_topics.
type NewTopic struct {
	Name        string             `json:"name"`
	Partitions  *int32             `json:"partitions"`
	Replication *int16             `json:"replication"`
	Configs     map[string]*string `json:"configs"`
	Assignments map[int32][]int32  `json:"assignments"`
}

// Or is the number, or -1: the broker's default.
func Or[N int16 | int32](number *N) N {
	if number == nil {
		return -1
	}
	return *number
}

// CreateTopics is the fields of admin.create_topics.
type CreateTopics struct {
	Topics       []NewTopic `json:"topics"`
	ValidateOnly bool       `json:"validate_only"`
}

// CreatePartitions is the fields of admin.create_partitions.
type CreatePartitions struct {
	Topic       string    `json:"topic"`
	Count       int32     `json:"count"`
	Assignments [][]int32 `json:"assignments"`
}

// Topics and Groups are names of them.
type Topics struct {
	Topics []string `json:"topics"`
}

// Groups is a list of names.
type Groups struct {
	Groups []string `json:"groups"`
}

// Resource is the fields of admin.describe_configs and admin.alter_configs.
type Resource struct {
	Type  string            `json:"type"`
	Name  string            `json:"name"`
	Set   map[string]string `json:"set"`
	Unset []string          `json:"unset"`
}

// GroupOffsets is the fields of the admin's commands on one group's offsets.
type GroupOffsets struct {
	Group      string               `json:"group"`
	Partitions []Partition          `json:"partitions"`
	Offsets    map[string]Committed `json:"offsets"`
}

// DeleteRecords is the fields of admin.delete_records.
type DeleteRecords struct {
	Offsets map[string]int64 `json:"offsets"`
}

// Election is the fields of admin.elect_leaders.
type Election struct {
	Type       string      `json:"type"`
	Partitions []Partition `json:"partitions"`
}

// States is the field of admin.list_groups.
type States struct {
	States []string `json:"states"`
}

// PartitionDetail, TopicDetail, BrokerDetail, GroupDetail and so on are what is told of them.
type PartitionDetail struct {
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"`
	Replicas    []int32 `json:"replicas"`
	ISR         []int32 `json:"isr"`
	LeaderEpoch *int32  `json:"leader_epoch,omitempty"`
}

type TopicDetail struct {
	ID         string            `json:"id,omitempty"`
	Internal   *bool             `json:"internal,omitempty"`
	Partitions []PartitionDetail `json:"partitions"`
}

type BrokerDetail struct {
	ID   int32   `json:"id"`
	Host string  `json:"host"`
	Port int32   `json:"port"`
	Rack *string `json:"rack"`
}

type ConfigDetail struct {
	Value     *string `json:"value"`
	Source    string  `json:"source,omitempty"`
	Default   bool    `json:"default"`
	Sensitive bool    `json:"sensitive"`
	ReadOnly  *bool   `json:"read_only,omitempty"`
}

type GroupListing struct {
	Group        string  `json:"group"`
	State        *string `json:"state,omitempty"`
	ProtocolType string  `json:"protocol_type,omitempty"`
}

type MemberDetail struct {
	MemberID   string   `json:"member_id"`
	InstanceID *string  `json:"instance_id"`
	ClientID   string   `json:"client_id"`
	Assignment []string `json:"assignment"`
}

type GroupDetail struct {
	State        string         `json:"state"`
	Protocol     string         `json:"protocol,omitempty"`
	ProtocolType string         `json:"protocol_type,omitempty"`
	Coordinator  *int32         `json:"coordinator,omitempty"`
	Members      []MemberDetail `json:"members"`
}

// Each is the result for one of several: {} or {"error"}.
func Each(err error, explain func(error) *Error) any {
	if err != nil {
		return Failed{explain(err)}
	}
	return Done{}
}

// ConfigSources are Kafka's names of where a value comes from, by their numbers.
var ConfigSources = map[int8]string{
	0: "UNKNOWN", 1: "DYNAMIC_TOPIC_CONFIG", 2: "DYNAMIC_BROKER_CONFIG",
	3: "DYNAMIC_DEFAULT_BROKER_CONFIG", 4: "STATIC_BROKER_CONFIG", 5: "DEFAULT_CONFIG",
	6: "DYNAMIC_BROKER_LOGGER_CONFIG", 7: "CLIENT_METRICS_CONFIG", 8: "GROUP_CONFIG",
}
