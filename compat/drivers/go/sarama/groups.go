package main

import (
	"github.com/IBM/sarama"

	"pykbroker.test/compat/drivers/go/line"
)

func (a *admin) listGroups(f line.States) (any, error) {
	if f.States != nil {
		return nil, line.Unsupported("groups by state")
	}
	listed, err := a.ListConsumerGroups()
	groups := []line.GroupListing{}
	for name, kind := range listed {
		groups = append(groups, line.GroupListing{Group: name, ProtocolType: kind})
	}
	return map[string]any{"groups": groups}, err
}

func (a *admin) describeGroups(f line.Groups) (any, error) {
	described, err := a.DescribeConsumerGroups(f.Groups)
	if err != nil {
		return nil, err
	}
	groups := map[string]any{}
	for _, group := range described {
		if group.Err != sarama.ErrNoError {
			groups[group.GroupId] = each(group.Err, nil)
			continue
		}
		members := []line.MemberDetail{}
		for _, m := range group.Members {
			told := line.MemberDetail{
				MemberID: m.MemberId, InstanceID: m.GroupInstanceId, ClientID: m.ClientId,
				Assignment: []string{},
			}
			assignment, err := m.GetMemberAssignment()
			if err != nil {
				return nil, err
			}
			if assignment != nil {
				for _, p := range line.Flat(assignment.Topics) {
					told.Assignment = append(told.Assignment, p.String())
				}
			}
			members = append(members, told)
		}
		groups[group.GroupId] = line.GroupDetail{
			State: group.State, Protocol: group.Protocol, ProtocolType: group.ProtocolType,
			Members: members,
		}
	}
	return map[string]any{"groups": groups}, nil
}

func (a *admin) deleteGroups(f line.Groups) (any, error) {
	groups := map[string]any{}
	for _, group := range f.Groups {
		groups[group] = line.Each(a.DeleteConsumerGroup(group), explain)
	}
	return map[string]any{"groups": groups}, nil
}

// fetchCommitted gives offsets by "t-0": of the partitions, null where none is, or all there are.
func fetchCommitted(
	a sarama.ClusterAdmin, group string, only []line.Partition,
) (map[string]any, error) {
	var asked map[string][]int32
	if only != nil {
		asked = line.ByTopic(only)
	}
	response, err := a.ListConsumerGroupOffsets(group, asked)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for topic, blocks := range response.Blocks {
		for number, block := range blocks {
			name := line.Partition{Topic: topic, Partition: number}.String()
			switch {
			case block.Err != sarama.ErrNoError:
				return nil, block.Err
			case block.Offset < 0:
				offsets[name] = nil
			default:
				offsets[name] = line.Committed{
					Offset: block.Offset, Metadata: &block.Metadata,
					LeaderEpoch: line.Epoch(block.LeaderEpoch),
				}
			}
		}
	}
	return offsets, nil
}

func (a *admin) groupOffsets(f line.GroupOffsets) (any, error) {
	offsets, err := fetchCommitted(a, f.Group, f.Partitions)
	return map[string]any{"offsets": offsets}, err
}

func (a *admin) alterGroupOffsets(f line.GroupOffsets) (any, error) {
	asked, err := line.Keyed(f.Offsets)
	if err != nil {
		return nil, err
	}
	commit := map[string]map[int32]sarama.OffsetAndMetadata{}
	for p, at := range asked {
		if commit[p.Topic] == nil {
			commit[p.Topic] = map[int32]sarama.OffsetAndMetadata{}
		}
		one := sarama.OffsetAndMetadata{Offset: at.Offset, LeaderEpoch: -1}
		if at.Metadata != nil {
			one.Metadata = *at.Metadata
		}
		if at.LeaderEpoch != nil {
			one.LeaderEpoch = *at.LeaderEpoch
		}
		commit[p.Topic][p.Partition] = one
	}
	response, err := a.AlterConsumerGroupOffsets(f.Group, commit, nil)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for topic, numbers := range response.Errors {
		for number, code := range numbers {
			offsets[line.Partition{Topic: topic, Partition: number}.String()] = each(code, nil)
		}
	}
	return map[string]any{"offsets": offsets}, nil
}

func (a *admin) deleteGroupOffsets(f line.GroupOffsets) (any, error) {
	offsets := map[string]any{}
	for _, p := range f.Partitions {
		err := a.DeleteConsumerGroupOffset(f.Group, p.Topic, p.Partition)
		offsets[p.String()] = line.Each(err, explain)
	}
	return map[string]any{"offsets": offsets}, nil
}
