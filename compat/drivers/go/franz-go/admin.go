package main

import (
	"context"
	"encoding/base64"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pykbroker.test/compat/drivers/go/line"
)

func openAdmin(command *line.Command) (line.Operations, error) {
	config, err := command.Config()
	if err != nil {
		return nil, err
	}
	options := common(config)
	timeout, bounded := config.Millis("request_timeout_ms")
	client, err := open(config, options)
	if err != nil {
		return nil, err
	}
	a := &admin{client: client, adm: kadm.NewClient(client), timeout: 15000}
	if bounded {
		a.timeout = int32(timeout.Milliseconds())
		a.adm.SetTimeoutMillis(a.timeout)
	}
	return adminOperations(a), nil
}

type admin struct {
	client  *kgo.Client
	adm     *kadm.Client
	timeout int32 // milliseconds that a broker may take
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
		"close": line.Without(func() (any, error) {
			a.client.Close()
			return line.Done{}, nil
		}),
	}
}

func (a *admin) createTopics(f line.CreateTopics) (any, error) {
	request := kmsg.NewPtrCreateTopicsRequest()
	request.TimeoutMillis, request.ValidateOnly = a.timeout, f.ValidateOnly
	for _, topic := range f.Topics {
		one := kmsg.NewCreateTopicsRequestTopic()
		one.Topic = topic.Name
		one.NumPartitions, one.ReplicationFactor = line.Or(topic.Partitions), line.Or(topic.Replication)
		for name, value := range topic.Configs {
			config := kmsg.NewCreateTopicsRequestTopicConfig()
			config.Name, config.Value = name, value
			one.Configs = append(one.Configs, config)
		}
		for partition, replicas := range topic.Assignments {
			assignment := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			assignment.Partition, assignment.Replicas = partition, replicas
			one.ReplicaAssignment = append(one.ReplicaAssignment, assignment)
		}
		request.Topics = append(request.Topics, one)
	}
	response, err := request.RequestWith(context.Background(), a.client)
	if err != nil {
		return nil, err
	}
	topics := map[string]any{}
	for _, topic := range response.Topics {
		topics[topic.Topic] = line.Each(broker(topic.ErrorCode, topic.ErrorMessage), explain)
	}
	return map[string]any{"topics": topics}, nil
}

func (a *admin) deleteTopics(f line.Topics) (any, error) {
	responses, err := a.adm.DeleteTopics(context.Background(), f.Topics...)
	if err != nil {
		return nil, err
	}
	topics := map[string]any{}
	for _, topic := range responses {
		topics[topic.Topic] = line.Each(topic.Err, explain)
	}
	return map[string]any{"topics": topics}, nil
}

func (a *admin) createPartitions(f line.CreatePartitions) (any, error) {
	request := kmsg.NewPtrCreatePartitionsRequest()
	request.TimeoutMillis = a.timeout
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = f.Topic, f.Count
	for _, replicas := range f.Assignments {
		topic.Assignment = append(topic.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{
			Replicas: replicas,
		})
	}
	request.Topics = append(request.Topics, topic)
	response, err := request.RequestWith(context.Background(), a.client)
	if err != nil {
		return nil, err
	}
	for _, topic := range response.Topics {
		if err := broker(topic.ErrorCode, topic.ErrorMessage); err != nil {
			return nil, err
		}
	}
	return line.Done{}, nil
}

func (a *admin) listTopics() (any, error) {
	details, err := a.adm.ListTopicsWithInternal(context.Background())
	return map[string]any{"topics": details.Names()}, err
}

func (a *admin) describeTopics(f line.Topics) (any, error) {
	if len(f.Topics) == 0 {
		return map[string]any{"topics": line.Done{}}, nil
	}
	details, err := a.adm.ListTopicsWithInternal(context.Background(), f.Topics...)
	if err != nil {
		return nil, err
	}
	topics := map[string]any{}
	for name, topic := range details {
		if topic.Err != nil {
			topics[name] = line.Failed{Error: explain(topic.Err)}
			continue
		}
		told := line.TopicDetail{ID: base64.RawURLEncoding.EncodeToString(topic.ID[:])}
		told.Internal = &topic.IsInternal
		for _, p := range topic.Partitions.Sorted() {
			told.Partitions = append(told.Partitions, line.PartitionDetail{
				Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR,
				LeaderEpoch: line.Epoch(p.LeaderEpoch),
			})
		}
		topics[name] = told
	}
	return map[string]any{"topics": topics}, nil
}

func (a *admin) describeCluster() (any, error) {
	metadata, err := a.adm.BrokerMetadata(context.Background())
	if err != nil {
		return nil, err
	}
	brokers := []line.BrokerDetail{}
	for _, b := range metadata.Brokers {
		brokers = append(brokers, line.BrokerDetail{ID: b.NodeID, Host: b.Host, Port: b.Port, Rack: b.Rack})
	}
	return map[string]any{
		"cluster_id": metadata.Cluster, "controller": metadata.Controller, "brokers": brokers,
	}, nil
}

var resourceTypes = map[string]kmsg.ConfigResourceType{
	"topic": kmsg.ConfigResourceTypeTopic, "broker": kmsg.ConfigResourceTypeBroker,
	"group": kmsg.ConfigResourceTypeGroupConfig,
}

func (a *admin) describeConfigs(f line.Resource) (any, error) {
	resource := kmsg.NewDescribeConfigsRequestResource()
	known := false
	if resource.ResourceType, known = resourceTypes[f.Type]; !known {
		return nil, line.Unsupported("configs of a %s", f.Type)
	}
	resource.ResourceName = f.Name
	request := kmsg.NewPtrDescribeConfigsRequest()
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(context.Background(), a.client)
	if err != nil {
		return nil, err
	}
	configs := map[string]line.ConfigDetail{}
	for _, resource := range response.Resources {
		if err := broker(resource.ErrorCode, resource.ErrorMessage); err != nil {
			return nil, err
		}
		for _, c := range resource.Configs {
			configs[c.Name] = line.ConfigDetail{
				Value: c.Value, Source: line.ConfigSources[int8(c.Source)],
				Default:   c.Source == kmsg.ConfigSourceDefaultConfig,
				Sensitive: c.IsSensitive, ReadOnly: &c.ReadOnly,
			}
		}
	}
	return map[string]any{"configs": configs}, nil
}

func (a *admin) alterConfigs(f line.Resource) (any, error) {
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	known := false
	if resource.ResourceType, known = resourceTypes[f.Type]; !known {
		return nil, line.Unsupported("configs of a %s", f.Type)
	}
	resource.ResourceName = f.Name
	change := func(name string, value *string, how kmsg.IncrementalAlterConfigOp) {
		one := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		one.Name, one.Value, one.Op = name, value, how
		resource.Configs = append(resource.Configs, one)
	}
	for name, value := range f.Set {
		change(name, &value, kmsg.IncrementalAlterConfigOpSet)
	}
	for _, name := range f.Unset {
		change(name, nil, kmsg.IncrementalAlterConfigOpDelete)
	}
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(context.Background(), a.client)
	if err != nil {
		return nil, err
	}
	for _, resource := range response.Resources {
		if err := broker(resource.ErrorCode, resource.ErrorMessage); err != nil {
			return nil, err
		}
	}
	return line.Done{}, nil
}

// listed is one partition's answer, or its error.
type listed struct {
	line.Listed
	err error
}

func listOffsets(client *kgo.Client, f line.Listing) (map[line.Partition]listed, error) {
	at := f.At.Number
	switch f.At.Word {
	case "":
	case "earliest":
		at = -2
	case "latest":
		at = -1
	case "max_timestamp":
		at = -3
	default:
		return nil, line.Unsupported("offsets at %q", f.At.Word)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	if f.Isolation == "read_committed" {
		request.IsolationLevel = 1
	}
	for topic, partitions := range line.ByTopic(f.Partitions) {
		one := kmsg.NewListOffsetsRequestTopic()
		one.Topic = topic
		for _, number := range partitions {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = number, at
			one.Partitions = append(one.Partitions, p)
		}
		request.Topics = append(request.Topics, one)
	}
	offsets := map[line.Partition]listed{}
	for _, shard := range client.RequestSharded(context.Background(), request) {
		if shard.Err != nil {
			asked, ok := shard.Req.(*kmsg.ListOffsetsRequest)
			if !ok {
				return nil, shard.Err
			}
			for _, topic := range asked.Topics {
				for _, p := range topic.Partitions {
					at := line.Partition{Topic: topic.Topic, Partition: p.Partition}
					offsets[at] = listed{err: shard.Err}
				}
			}
			continue
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range topic.Partitions {
				at := line.Partition{Topic: topic.Topic, Partition: p.Partition}
				offsets[at] = listed{
					line.Listed{
						Offset: p.Offset, Timestamp: p.Timestamp, LeaderEpoch: line.Epoch(p.LeaderEpoch),
					},
					broker(p.ErrorCode, nil),
				}
			}
		}
	}
	return offsets, nil
}

func (a *admin) listOffsets(f line.Listing) (any, error) {
	offsets, err := listOffsets(a.client, f)
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

func (a *admin) deleteRecords(f line.DeleteRecords) (any, error) {
	numbers, err := line.Keyed(f.Offsets)
	if err != nil {
		return nil, err
	}
	offsets := kadm.Offsets{}
	for p, offset := range numbers {
		offsets.AddOffset(p.Topic, p.Partition, offset, -1)
	}
	told := map[string]any{}
	responses, err := a.adm.DeleteRecords(context.Background(), offsets)
	if failed, ok := errors.AsType[*kadm.ShardErrors](err); ok {
		for _, shard := range failed.Errs {
			for _, topic := range shard.Req.(*kmsg.DeleteRecordsRequest).Topics {
				for _, asked := range topic.Partitions {
					p := line.Partition{Topic: topic.Topic, Partition: asked.Partition}
					told[p.String()] = line.Failed{Error: explain(shard.Err)}
				}
			}
		}
	} else if err != nil {
		return nil, err
	}
	responses.Each(func(r kadm.DeleteRecordsResponse) {
		p := line.Partition{Topic: r.Topic, Partition: r.Partition}
		if r.Err != nil {
			told[p.String()] = line.Failed{Error: explain(r.Err)}
		} else {
			told[p.String()] = map[string]int64{"low_watermark": r.LowWatermark}
		}
	})
	return map[string]any{"offsets": told}, nil
}

func (a *admin) electLeaders(f line.Election) (any, error) {
	how := kadm.ElectPreferredReplica
	if f.Type == "unclean" {
		how = kadm.ElectLiveReplica
	}
	set := kadm.TopicsSet{}
	for _, p := range f.Partitions {
		set.Add(p.Topic, p.Partition)
	}
	results, err := a.adm.ElectLeaders(context.Background(), how, set)
	if err != nil {
		return nil, err
	}
	partitions := map[string]any{}
	for topic, numbers := range results {
		for number, result := range numbers {
			p := line.Partition{Topic: topic, Partition: number}
			partitions[p.String()] = line.Each(result.Err, explain)
		}
	}
	return map[string]any{"partitions": partitions}, nil
}
