package main

import (
	"context"

	"github.com/segmentio/kafka-go"

	"pykbroker.test/compat/drivers/go/line"
)

func (a *admin) listGroups(f line.States) (any, error) {
	if f.States != nil {
		return nil, line.Unsupported("groups by state")
	}
	response, err := a.ListGroups(context.Background(), &kafka.ListGroupsRequest{})
	if err != nil {
		return nil, err
	}
	groups := []line.GroupListing{}
	for _, group := range response.Groups {
		groups = append(groups, line.GroupListing{
			Group: group.GroupID, ProtocolType: group.ProtocolType,
		})
	}
	return map[string]any{"groups": groups}, response.Error
}

func (a *admin) describeGroups(f line.Groups) (any, error) {
	request := &kafka.DescribeGroupsRequest{GroupIDs: f.Groups}
	response, err := a.DescribeGroups(context.Background(), request)
	if err != nil {
		return nil, err
	}
	groups := map[string]any{}
	for _, group := range response.Groups {
		if group.Error != nil {
			groups[group.GroupID] = line.Failed{Error: explain(group.Error)}
			continue
		}
		members := []line.MemberDetail{}
		for _, m := range group.Members {
			told := line.MemberDetail{MemberID: m.MemberID, ClientID: m.ClientID, Assignment: []string{}}
			for _, topic := range m.MemberAssignments.Topics {
				for _, number := range topic.Partitions {
					p := line.Partition{Topic: topic.Topic, Partition: int32(number)}
					told.Assignment = append(told.Assignment, p.String())
				}
			}
			members = append(members, told)
		}
		groups[group.GroupID] = line.GroupDetail{State: group.GroupState, Members: members}
	}
	return map[string]any{"groups": groups}, nil
}

func (a *admin) deleteGroups(f line.Groups) (any, error) {
	request := &kafka.DeleteGroupsRequest{GroupIDs: f.Groups}
	response, err := a.DeleteGroups(context.Background(), request)
	if err != nil {
		return nil, err
	}
	return perName("groups", response.Errors), nil
}

// fetchCommitted gives offsets by "t-0": of the partitions, null where none is, or all there are.
func fetchCommitted(
	client *kafka.Client, group string, only []line.Partition,
) (map[string]any, error) {
	request := &kafka.OffsetFetchRequest{GroupID: group, Topics: intsByTopic(only)}
	response, err := client.OffsetFetch(context.Background(), request)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for topic, partitions := range response.Topics {
		for _, p := range partitions {
			name := line.Partition{Topic: topic, Partition: int32(p.Partition)}.String()
			switch {
			case p.Error != nil:
				return nil, p.Error
			case p.CommittedOffset < 0:
				offsets[name] = nil
			default:
				offsets[name] = line.Committed{Offset: p.CommittedOffset, Metadata: &p.Metadata}
			}
		}
	}
	return offsets, response.Error
}

func (a *admin) groupOffsets(f line.GroupOffsets) (any, error) {
	offsets, err := fetchCommitted(a.Client, f.Group, f.Partitions)
	return map[string]any{"offsets": offsets}, err
}

func (a *admin) alterGroupOffsets(f line.GroupOffsets) (any, error) {
	asked, err := line.Keyed(f.Offsets)
	if err != nil {
		return nil, err
	}
	request := &kafka.OffsetCommitRequest{
		GroupID: f.Group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{},
	}
	for p, at := range asked {
		one := kafka.OffsetCommit{Partition: int(p.Partition), Offset: at.Offset}
		if at.Metadata != nil {
			one.Metadata = *at.Metadata
		}
		request.Topics[p.Topic] = append(request.Topics[p.Topic], one)
	}
	response, err := a.OffsetCommit(context.Background(), request)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for topic, partitions := range response.Topics {
		for _, result := range partitions {
			p := line.Partition{Topic: topic, Partition: int32(result.Partition)}
			offsets[p.String()] = line.Each(result.Error, explain)
		}
	}
	return map[string]any{"offsets": offsets}, nil
}

func (a *admin) deleteGroupOffsets(f line.GroupOffsets) (any, error) {
	request := &kafka.OffsetDeleteRequest{GroupID: f.Group, Topics: intsByTopic(f.Partitions)}
	response, err := a.OffsetDelete(context.Background(), request)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for topic, partitions := range response.Topics {
		for _, result := range partitions {
			p := line.Partition{Topic: topic, Partition: int32(result.Partition)}
			offsets[p.String()] = line.Each(result.Error, explain)
		}
	}
	return map[string]any{"offsets": offsets}, response.Error
}
