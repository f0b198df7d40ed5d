package main

import (
	"context"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"pykbroker.test/compat/drivers/go/line"
)

type admin struct{ *kafka.Client }

func openAdmin(command *line.Command) (line.Operations, error) {
	config, err := command.Config()
	if err != nil {
		return nil, err
	}
	client := common(config)
	return adminOperations(&admin{client}), config.Check()
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
		"elect_leaders":        line.With(a.electLeaders),
		"close": line.Without(func() (any, error) {
			transport(a.Client).CloseIdleConnections()
			return line.Done{}, nil
		}),
	}
}

func perName(kind string, errors map[string]error) any {
	told := map[string]any{}
	for name, err := range errors {
		told[name] = line.Each(err, explain)
	}
	return map[string]any{kind: told}
}

func ints(numbers []int32) []int {
	made := make([]int, 0, len(numbers))
	for _, number := range numbers {
		made = append(made, int(number))
	}
	return made
}

func intsByTopic(partitions []line.Partition) map[string][]int {
	by := map[string][]int{}
	for topic, numbers := range line.ByTopic(partitions) {
		by[topic] = ints(numbers)
	}
	return by
}

func (a *admin) createTopics(f line.CreateTopics) (any, error) {
	if f.ValidateOnly { // it waits, for ever, until metadata has them
		return nil, line.Unsupported("topics that are validated only")
	}
	request := &kafka.CreateTopicsRequest{}
	for _, topic := range f.Topics {
		one := kafka.TopicConfig{
			Topic: topic.Name, NumPartitions: int(line.Or(topic.Partitions)),
			ReplicationFactor: int(line.Or(topic.Replication)),
		}
		for partition, replicas := range topic.Assignments {
			one.ReplicaAssignments = append(one.ReplicaAssignments, kafka.ReplicaAssignment{
				Partition: int(partition), Replicas: ints(replicas),
			})
		}
		for name, value := range topic.Configs {
			if value == nil {
				return nil, line.Unsupported("%s null", name)
			}
			one.ConfigEntries = append(one.ConfigEntries, kafka.ConfigEntry{
				ConfigName: name, ConfigValue: *value,
			})
		}
		request.Topics = append(request.Topics, one)
	}
	response, err := a.CreateTopics(context.Background(), request)
	if err != nil {
		return nil, err
	}
	return perName("topics", response.Errors), nil
}

func (a *admin) deleteTopics(f line.Topics) (any, error) {
	request := &kafka.DeleteTopicsRequest{Topics: f.Topics}
	response, err := a.DeleteTopics(context.Background(), request)
	if err != nil {
		return nil, err
	}
	return perName("topics", response.Errors), nil
}

func (a *admin) createPartitions(f line.CreatePartitions) (any, error) {
	topic := kafka.TopicPartitionsConfig{Name: f.Topic, Count: f.Count}
	for _, replicas := range f.Assignments {
		topic.TopicPartitionAssignments = append(
			topic.TopicPartitionAssignments, kafka.TopicPartitionAssignment{BrokerIDs: replicas},
		)
	}
	request := &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{topic}}
	response, err := a.CreatePartitions(context.Background(), request)
	if err != nil {
		return nil, err
	}
	return line.Done{}, response.Errors[f.Topic]
}

func (a *admin) listTopics() (any, error) {
	response, err := a.Metadata(context.Background(), &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	topics := []string{}
	for _, topic := range response.Topics {
		topics = append(topics, topic.Name)
	}
	slices.Sort(topics)
	return map[string]any{"topics": topics}, nil
}

func ids(brokers []kafka.Broker) []int32 {
	made := []int32{}
	for _, b := range brokers {
		made = append(made, int32(b.ID))
	}
	return made
}

func (a *admin) describeTopics(f line.Topics) (any, error) {
	request := &kafka.MetadataRequest{Topics: f.Topics}
	response, err := a.Metadata(context.Background(), request)
	if err != nil {
		return nil, err
	}
	topics := map[string]any{}
	for _, topic := range response.Topics {
		if topic.Error != nil {
			topics[topic.Name] = line.Failed{Error: explain(topic.Error)}
			continue
		}
		told := line.TopicDetail{Internal: &topic.Internal}
		for _, p := range topic.Partitions {
			told.Partitions = append(told.Partitions, line.PartitionDetail{
				Partition: int32(p.ID), Leader: int32(p.Leader.ID), Replicas: ids(p.Replicas),
				ISR: ids(p.Isr),
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
	response, err := a.Metadata(context.Background(), &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	brokers := []line.BrokerDetail{}
	for _, b := range response.Brokers {
		told := line.BrokerDetail{ID: int32(b.ID), Host: b.Host, Port: int32(b.Port)}
		if b.Rack != "" {
			told.Rack = &b.Rack
		}
		brokers = append(brokers, told)
	}
	return map[string]any{
		"cluster_id": response.ClusterID, "controller": response.Controller.ID, "brokers": brokers,
	}, nil
}

var resourceTypes = map[string]kafka.ResourceType{
	"topic": kafka.ResourceTypeTopic, "broker": kafka.ResourceTypeBroker,
}

func (a *admin) describeConfigs(f line.Resource) (any, error) {
	kind, known := resourceTypes[f.Type]
	if !known {
		return nil, line.Unsupported("configs of a %s", f.Type)
	}
	response, err := a.DescribeConfigs(context.Background(), &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kind, ResourceName: f.Name}},
	})
	if err != nil {
		return nil, err
	}
	configs := map[string]line.ConfigDetail{}
	for _, resource := range response.Resources {
		if resource.Error != nil {
			return nil, resource.Error
		}
		for _, entry := range resource.ConfigEntries {
			told := line.ConfigDetail{
				Value: &entry.ConfigValue, Source: line.ConfigSources[entry.ConfigSource],
				Default:   entry.IsDefault || line.ConfigSources[entry.ConfigSource] == "DEFAULT_CONFIG",
				Sensitive: entry.IsSensitive, ReadOnly: &entry.ReadOnly,
			}
			if entry.IsSensitive {
				told.Value = nil
			}
			configs[entry.ConfigName] = told
		}
	}
	return map[string]any{"configs": configs}, nil
}

func (a *admin) alterConfigs(f line.Resource) (any, error) {
	kind, known := resourceTypes[f.Type]
	if !known {
		return nil, line.Unsupported("configs of a %s", f.Type)
	}
	resource := kafka.IncrementalAlterConfigsRequestResource{ResourceType: kind, ResourceName: f.Name}
	for name, value := range f.Set {
		resource.Configs = append(resource.Configs, kafka.IncrementalAlterConfigsRequestConfig{
			Name: name, Value: value, ConfigOperation: kafka.ConfigOperationSet,
		})
	}
	for _, name := range f.Unset {
		resource.Configs = append(resource.Configs, kafka.IncrementalAlterConfigsRequestConfig{
			Name: name, ConfigOperation: kafka.ConfigOperationDelete,
		})
	}
	response, err := a.IncrementalAlterConfigs(
		context.Background(), &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{resource},
		},
	)
	if err != nil {
		return nil, err
	}
	for _, resource := range response.Resources {
		if resource.Error != nil {
			return nil, resource.Error
		}
	}
	return line.Done{}, nil
}

// listed is one partition's answer, or its error.
type listed struct {
	line.Listed
	err error
}

func listOffsets(client *kafka.Client, f line.Listing) (map[line.Partition]listed, error) {
	request := &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{}, IsolationLevel: isolations[f.Isolation],
	}
	for _, p := range f.Partitions {
		number := int(p.Partition)
		var one kafka.OffsetRequest
		switch f.At.Word {
		case "":
			one = kafka.TimeOffsetOf(number, time.UnixMilli(f.At.Number))
		case "earliest":
			one = kafka.FirstOffsetOf(number)
		case "latest":
			one = kafka.LastOffsetOf(number)
		default:
			return nil, line.Unsupported("offsets at %q", f.At.Word)
		}
		request.Topics[p.Topic] = append(request.Topics[p.Topic], one)
	}
	response, err := client.ListOffsets(context.Background(), request)
	if err != nil {
		return nil, err
	}
	offsets := map[line.Partition]listed{}
	for topic, partitions := range response.Topics {
		for _, p := range partitions {
			told := listed{line.Listed{Offset: -1, Timestamp: -1}, p.Error}
			switch f.At.Word {
			case "earliest":
				told.Offset = p.FirstOffset
			case "latest":
				told.Offset = p.LastOffset
			default:
				for offset, at := range p.Offsets {
					told.Offset, told.Timestamp = offset, at.UnixMilli()
				}
			}
			offsets[line.Partition{Topic: topic, Partition: int32(p.Partition)}] = told
		}
	}
	return offsets, nil
}

func (a *admin) listOffsets(f line.Listing) (any, error) {
	offsets, err := listOffsets(a.Client, f)
	if err != nil {
		return nil, err
	}
	told := map[string]any{}
	for p, at := range offsets {
		if at.err != nil {
			told[p.String()] = line.Failed{Error: explain(at.err)}
		} else {
			told[p.String()] = at.Listed
		}
	}
	return map[string]any{"offsets": told}, nil
}

func (a *admin) electLeaders(f line.Election) (any, error) {
	if f.Type != "preferred" {
		return nil, line.Unsupported("a %s election", f.Type)
	}
	partitions := map[string]any{}
	for topic, numbers := range intsByTopic(f.Partitions) {
		response, err := a.ElectLeaders(context.Background(), &kafka.ElectLeadersRequest{
			Topic: topic, Partitions: numbers, Timeout: 10 * time.Second,
		})
		if err != nil {
			return nil, err
		}
		if response.Error != nil {
			return nil, response.Error
		}
		for _, result := range response.PartitionResults {
			p := line.Partition{Topic: topic, Partition: int32(result.Partition)}
			partitions[p.String()] = line.Each(result.Error, explain)
		}
	}
	return map[string]any{"partitions": partitions}, nil
}
