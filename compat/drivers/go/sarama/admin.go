package main

import (
	"errors"
	"net"
	"slices"
	"strconv"

	"github.com/IBM/sarama"

	"pykbroker.test/compat/drivers/go/line"
)

type admin struct{ sarama.ClusterAdmin }

func openAdmin(command *line.Command) (line.Operations, error) {
	config, err := command.Config()
	if err != nil {
		return nil, err
	}
	c, bootstrap := common(config)
	if err := config.Check(); err != nil {
		return nil, err
	}
	made, err := sarama.NewClusterAdmin(bootstrap, c)
	if err != nil {
		return nil, err
	}
	return adminOperations(&admin{made}), nil
}

func adminOperations(a *admin) line.Operations {
	return line.Operations{
		"create_topics":        line.With(a.createTopics),
		"delete_topics":        line.With(a.deleteTopics),
		"create_partitions":    line.With(a.createPartitions),
		"list_topics":          line.Without(a.listTopics),
		"describe_topics":      line.With(a.describeTopics),
		"describe_cluster":     line.Without(a.describeCluster),
		"describe_configs":     line.With(a.describeConfigs),
		"alter_configs":        line.With(a.alterConfigs),
		"list_groups":          line.With(a.listGroups),
		"describe_groups":      line.With(a.describeGroups),
		"delete_groups":        line.With(a.deleteGroups),
		"group_offsets":        line.With(a.groupOffsets),
		"alter_group_offsets":  line.With(a.alterGroupOffsets),
		"delete_group_offsets": line.With(a.deleteGroupOffsets),
		"list_offsets":         line.With(a.listOffsets),
		"delete_records":       line.With(a.deleteRecords),
		"elect_leaders":        line.With(a.electLeaders),
		"close":                line.Without(func() (any, error) { return line.Done{}, a.Close() }),
	}
}

func (a *admin) createTopics(f line.CreateTopics) (any, error) {
	topics := map[string]any{}
	for _, topic := range f.Topics {
		err := a.CreateTopic(topic.Name, &sarama.TopicDetail{
			NumPartitions: line.Or(topic.Partitions), ReplicationFactor: line.Or(topic.Replication),
			ReplicaAssignment: topic.Assignments, ConfigEntries: topic.Configs,
		}, f.ValidateOnly)
		topics[topic.Name] = line.Each(err, explain)
	}
	return map[string]any{"topics": topics}, nil
}

func (a *admin) deleteTopics(f line.Topics) (any, error) {
	topics := map[string]any{}
	for _, topic := range f.Topics {
		topics[topic] = line.Each(a.DeleteTopic(topic), explain)
	}
	return map[string]any{"topics": topics}, nil
}

func (a *admin) createPartitions(f line.CreatePartitions) (any, error) {
	return line.Done{}, a.CreatePartitions(f.Topic, f.Count, f.Assignments, false)
}

func (a *admin) listTopics() (any, error) {
	details, err := a.ListTopics()
	topics := []string{}
	for name := range details {
		topics = append(topics, name)
	}
	slices.Sort(topics)
	return map[string]any{"topics": topics}, err
}

func (a *admin) describeTopics(f line.Topics) (any, error) {
	described, err := a.DescribeTopics(f.Topics)
	if err != nil {
		return nil, err
	}
	topics := map[string]any{}
	for _, topic := range described {
		if topic.Err != sarama.ErrNoError {
			topics[topic.Name] = each(topic.Err, nil)
			continue
		}
		told := line.TopicDetail{Internal: &topic.IsInternal}
		if topic.Uuid != (sarama.Uuid{}) {
			told.ID = topic.Uuid.String()
		}
		for _, p := range topic.Partitions {
			told.Partitions = append(told.Partitions, line.PartitionDetail{
				Partition: p.ID, Leader: p.Leader, Replicas: p.Replicas, ISR: p.Isr,
				LeaderEpoch: line.Epoch(p.LeaderEpoch),
			})
		}
		slices.SortFunc(told.Partitions, func(a, b line.PartitionDetail) int {
			return int(a.Partition - b.Partition)
		})
		topics[topic.Name] = told
	}
	return map[string]any{"topics": topics}, nil
}

func (a *admin) describeCluster() (any, error) {
	described, controller, err := a.DescribeCluster()
	if err != nil {
		return nil, err
	}
	brokers := []line.BrokerDetail{}
	for _, b := range described {
		host, text, err := net.SplitHostPort(b.Addr())
		if err != nil {
			return nil, err
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		told := line.BrokerDetail{ID: b.ID(), Host: host, Port: int32(port)}
		if rack := b.Rack(); rack != "" {
			told.Rack = &rack
		}
		brokers = append(brokers, told)
	}
	return map[string]any{"cluster_id": nil, "controller": controller, "brokers": brokers}, nil
}

var resourceTypes = map[string]sarama.ConfigResourceType{
	"topic": sarama.TopicResource, "broker": sarama.BrokerResource,
}

func (a *admin) describeConfigs(f line.Resource) (any, error) {
	kind, known := resourceTypes[f.Type]
	if !known {
		return nil, line.Unsupported("configs of a %s", f.Type)
	}
	results, err := a.DescribeConfigs(
		[]*sarama.ConfigResource{{Type: kind, Name: f.Name}}, sarama.DescribeConfigsOptions{},
	)
	if err != nil {
		return nil, err
	}
	configs := map[string]line.ConfigDetail{}
	for _, resource := range results {
		if resource.ErrorCode != sarama.ErrNoError {
			return nil, line.Numbered(int16(resource.ErrorCode), resource.ErrorMsg)
		}
		for _, entry := range resource.Configs {
			told := line.ConfigDetail{
				Value: &entry.Value, Source: line.ConfigSources[int8(entry.Source)],
				Default:   entry.Default || entry.Source == sarama.SourceDefault,
				Sensitive: entry.Sensitive, ReadOnly: &entry.ReadOnly,
			}
			if entry.Sensitive {
				told.Value = nil
			}
			configs[entry.Name] = told
		}
	}
	return map[string]any{"configs": configs}, nil
}

func (a *admin) alterConfigs(f line.Resource) (any, error) {
	kind, known := resourceTypes[f.Type]
	if !known {
		return nil, line.Unsupported("configs of a %s", f.Type)
	}
	entries := map[string]sarama.IncrementalAlterConfigsEntry{}
	for name, value := range f.Set {
		entries[name] = sarama.IncrementalAlterConfigsEntry{
			Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value,
		}
	}
	for _, name := range f.Unset {
		entries[name] = sarama.IncrementalAlterConfigsEntry{
			Operation: sarama.IncrementalAlterConfigsOperationDelete,
		}
	}
	return line.Done{}, a.IncrementalAlterConfig(kind, f.Name, entries, false)
}

func listOffsets(
	a sarama.ClusterAdmin, f line.Listing,
) (map[line.Partition]*sarama.OffsetResult, error) {
	at, named := f.At.Number, false
	if f.At.Word != "" {
		if at, named = places[f.At.Word]; !named {
			return nil, line.Unsupported("offsets at %q", f.At.Word)
		}
	}
	asked := map[string]map[int32]int64{}
	for _, p := range f.Partitions {
		if asked[p.Topic] == nil {
			asked[p.Topic] = map[int32]int64{}
		}
		asked[p.Topic][p.Partition] = at
	}
	options := &sarama.ListOffsetsOptions{IsolationLevel: isolations[f.Isolation]}
	results, err := a.ListOffsets(asked, options)
	if err != nil {
		return nil, err
	}
	listed := map[line.Partition]*sarama.OffsetResult{}
	for topic, numbers := range results {
		for number, result := range numbers {
			if errors.Is(result.Err, sarama.ErrNoError) {
				result.Err = nil
			}
			listed[line.Partition{Topic: topic, Partition: number}] = result
		}
	}
	return listed, nil
}

func (a *admin) listOffsets(f line.Listing) (any, error) {
	listed, err := listOffsets(a, f)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for p, at := range listed {
		if at.Err != nil {
			offsets[p.String()] = line.Failed{Error: explain(at.Err)}
			continue
		}
		offsets[p.String()] = line.Listed{
			Offset: at.Offset, Timestamp: at.Timestamp, LeaderEpoch: line.Epoch(at.LeaderEpoch),
		}
	}
	return map[string]any{"offsets": offsets}, nil
}

func (a *admin) deleteRecords(f line.DeleteRecords) (any, error) {
	asked, err := line.Keyed(f.Offsets)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for p, offset := range asked { // one by one: the client tells one error for all
		err := a.DeleteRecords(p.Topic, map[int32]int64{p.Partition: offset})
		offsets[p.String()] = line.Each(err, explain)
	}
	return map[string]any{"offsets": offsets}, nil
}

func (a *admin) electLeaders(f line.Election) (any, error) {
	kind := sarama.PreferredElection
	if f.Type == "unclean" {
		kind = sarama.UncleanElection
	}
	results, err := a.ElectLeaders(kind, line.ByTopic(f.Partitions))
	if err != nil {
		return nil, err
	}
	partitions := map[string]any{}
	for topic, numbers := range results {
		for number, result := range numbers {
			p := line.Partition{Topic: topic, Partition: number}
			partitions[p.String()] = each(result.ErrorCode, result.ErrorMessage)
		}
	}
	return map[string]any{"partitions": partitions}, nil
}
