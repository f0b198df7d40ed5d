package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"

	"pykbroker.test/compat/drivers/go/line"
)

func (a *admin) listGroups(f line.States) (any, error) {
	listed, err := a.adm.ListGroups(context.Background(), f.States...)
	if err != nil {
		return nil, err
	}
	groups := []line.GroupListing{}
	for _, group := range listed.Sorted() {
		groups = append(groups, line.GroupListing{
			Group: group.Group, State: &group.State, ProtocolType: group.ProtocolType,
		})
	}
	return map[string]any{"groups": groups}, nil
}

func (a *admin) describeGroups(f line.Groups) (any, error) {
	described, err := a.adm.DescribeGroups(context.Background(), f.Groups...)
	if err != nil {
		return nil, err
	}
	groups := map[string]any{}
	for name, group := range described {
		if group.Err != nil {
			groups[name] = line.Failed{Error: explain(group.Err)}
			continue
		}
		members := []line.MemberDetail{}
		for _, m := range group.Members {
			assignment := []string{}
			if consumer, ok := m.Assigned.AsConsumer(); ok {
				for _, topic := range consumer.Topics {
					for _, number := range topic.Partitions {
						p := line.Partition{Topic: topic.Topic, Partition: number}
						assignment = append(assignment, p.String())
					}
				}
			}
			members = append(members, line.MemberDetail{
				MemberID: m.MemberID, InstanceID: m.InstanceID, ClientID: m.ClientID,
				Assignment: assignment,
			})
		}
		groups[name] = line.GroupDetail{
			State: group.State, Protocol: group.Protocol, ProtocolType: group.ProtocolType,
			Coordinator: &group.Coordinator.NodeID, Members: members,
		}
	}
	return map[string]any{"groups": groups}, nil
}

func (a *admin) deleteGroups(f line.Groups) (any, error) {
	deleted, err := a.adm.DeleteGroups(context.Background(), f.Groups...)
	if err != nil {
		return nil, err
	}
	groups := map[string]any{}
	for name, group := range deleted {
		groups[name] = line.Each(group.Err, explain)
	}
	return map[string]any{"groups": groups}, nil
}

// fetchCommitted gives offsets by "t-0": of the partitions, null where none is, or all there are.
func fetchCommitted(adm *kadm.Client, group string, only []line.Partition) (map[string]any, error) {
	responses, err := adm.FetchOffsets(context.Background(), group)
	if err != nil {
		return nil, err
	}
	offsets, wanted := map[string]any{}, map[string]bool{}
	for _, p := range only {
		offsets[p.String()] = nil
		wanted[p.String()] = true
	}
	var failed error
	responses.Each(func(r kadm.OffsetResponse) {
		name := line.Partition{Topic: r.Topic, Partition: r.Partition}.String()
		switch {
		case only != nil && !wanted[name]:
		case r.Err != nil:
			failed = r.Err
		case r.At >= 0:
			offsets[name] = line.Committed{
				Offset: r.At, Metadata: &r.Metadata, LeaderEpoch: line.Epoch(r.LeaderEpoch),
			}
		}
	})
	return offsets, failed
}

func (a *admin) groupOffsets(f line.GroupOffsets) (any, error) {
	offsets, err := fetchCommitted(a.adm, f.Group, f.Partitions)
	return map[string]any{"offsets": offsets}, err
}

func (a *admin) alterGroupOffsets(f line.GroupOffsets) (any, error) {
	keyed, err := line.Keyed(f.Offsets)
	if err != nil {
		return nil, err
	}
	commit := kadm.Offsets{}
	for p, at := range keyed {
		one := kadm.Offset{Topic: p.Topic, Partition: p.Partition, At: at.Offset, LeaderEpoch: -1}
		if at.LeaderEpoch != nil {
			one.LeaderEpoch = *at.LeaderEpoch
		}
		if at.Metadata != nil {
			one.Metadata = *at.Metadata
		}
		commit.Add(one)
	}
	responses, err := a.adm.CommitOffsets(context.Background(), f.Group, commit)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	responses.Each(func(r kadm.OffsetResponse) {
		p := line.Partition{Topic: r.Topic, Partition: r.Partition}
		offsets[p.String()] = line.Each(r.Err, explain)
	})
	return map[string]any{"offsets": offsets}, nil
}

func (a *admin) deleteGroupOffsets(f line.GroupOffsets) (any, error) {
	set := kadm.TopicsSet{}
	for _, p := range f.Partitions {
		set.Add(p.Topic, p.Partition)
	}
	responses, err := a.adm.DeleteOffsets(context.Background(), f.Group, set)
	if err != nil {
		return nil, err
	}
	offsets := map[string]any{}
	for topic, numbers := range responses {
		for number, err := range numbers {
			p := line.Partition{Topic: topic, Partition: number}
			offsets[p.String()] = line.Each(err, explain)
		}
	}
	return map[string]any{"offsets": offsets}, nil
}
