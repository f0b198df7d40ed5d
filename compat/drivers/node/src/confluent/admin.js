import { unsupported } from '../errors.js'
import { choose, each, nameOf, partitionOf, translate } from '../words.js'
import { CLIENT_WORDS, PATIENCE_MS, explain, promised, rdkafka } from './client.js'

const { AdminClient, ConsumerGroupStates, IsolationLevel, OffsetSpec } = rdkafka
const STATES = {
  [ConsumerGroupStates.UNKNOWN]: 'Unknown',
  [ConsumerGroupStates.PREPARING_REBALANCE]: 'PreparingRebalance',
  [ConsumerGroupStates.COMPLETING_REBALANCE]: 'CompletingRebalance',
  [ConsumerGroupStates.STABLE]: 'Stable',
  [ConsumerGroupStates.DEAD]: 'Dead',
  [ConsumerGroupStates.EMPTY]: 'Empty',
}
const STATE_NUMBERS = Object.fromEntries(Object.entries(STATES).map(([number, name]) => [name, Number(number)]))
const SPECS = { earliest: OffsetSpec.EARLIEST, latest: OffsetSpec.LATEST, max_timestamp: OffsetSpec.MAX_TIMESTAMP }
const ISOLATIONS = { read_uncommitted: IsolationLevel.READ_UNCOMMITTED, read_committed: IsolationLevel.READ_COMMITTED }
const OPTIONS = { timeout: PATIENCE_MS }

export class ConfluentAdmin {
  /** @param {{config: any}} command */
  static open({ config }) {
    return new ConfluentAdmin(AdminClient.create(translate(config, CLIENT_WORDS)))
  }

  constructor(admin) {
    this.admin = admin
  }

  async create_topics({ topics, validate_only }) {
    if (validate_only) throw unsupported('validation alone')
    if (topics.some(topic => topic.assignments)) throw unsupported('assignments')
    const wanted = new Map(topics.map(topic => [topic.name, topic]))
    const create = name => promised(callback => this.admin.createTopic(newTopic(wanted.get(name)), PATIENCE_MS, callback))
    return { topics: await each([...wanted.keys()], explain, create) }
  }

  async delete_topics({ topics }) {
    const remove = topic => promised(callback => this.admin.deleteTopic(topic, PATIENCE_MS, callback))
    return { topics: await each(topics, explain, remove) }
  }

  async create_partitions({ topic, count, assignments }) {
    if (assignments) throw unsupported('assignments')
    await promised(callback => this.admin.createPartitions(topic, count, PATIENCE_MS, callback))
    return {}
  }

  async list_topics() {
    return { topics: await promised(callback => this.admin.listTopics(OPTIONS, callback)) }
  }

  async describe_topics({ topics }) {
    const described = await promised(callback => this.admin.describeTopics(topics, OPTIONS, callback))
    const results = {}
    for (const { name, error, topicId, isInternal, partitions } of described) {
      results[name] = error
        ? { error: explain(error) }
        : {
            id: topicId?.base64,
            internal: isInternal,
            partitions: partitions.map(one => ({
              partition: one.partition,
              leader: one.leader?.id ?? -1,
              replicas: one.replicas.map(node => node.id),
              isr: one.isr.map(node => node.id),
            })),
          }
    }
    return { topics: results }
  }

  async list_groups({ states }) {
    const matchConsumerGroupStates = states?.map(state => choose(STATE_NUMBERS, 'state', state))
    const options = { ...OPTIONS, ...(states && { matchConsumerGroupStates }) }
    const { groups, errors } = await promised(callback => this.admin.listGroups(options, callback))
    if (errors.length > 0) throw errors[0]
    return {
      groups: groups.map(({ groupId, state, protocolType }) => ({
        group: groupId,
        state: STATES[state],
        protocol_type: protocolType,
      })),
    }
  }

  async describe_groups({ groups }) {
    const described = await promised(callback => this.admin.describeGroups(groups, OPTIONS, callback))
    const results = {}
    for (const group of described.groups) {
      results[group.groupId] = group.error ? { error: explain(group.error) } : groupOf(group)
    }
    return { groups: results }
  }

  async delete_groups({ groups }) {
    const deleted = await promised(callback => this.admin.deleteGroups(groups, OPTIONS, callback))
    const results = deleted.map(({ groupId, error }) => [groupId, error ? { error: explain(error) } : {}])
    return { groups: Object.fromEntries(results) }
  }

  async group_offsets({ group, partitions }) {
    const request = [{ groupId: group, ...(partitions && { partitions }) }]
    const [found] = await promised(callback => this.admin.listConsumerGroupOffsets(request, OPTIONS, callback))
    if (found.error) throw found.error
    const offsets = {}
    for (const { topic, partition, offset, metadata, error } of found.partitions) {
      if (error) throw error
      offsets[nameOf(topic, partition)] = offset >= 0 ? { offset, metadata: metadata ?? '' } : null
    }
    return { offsets }
  }

  async list_offsets({ partitions, at, isolation }) {
    const spec = typeof at === 'number' ? new OffsetSpec(at) : choose(SPECS, 'offsets at', at)
    const asked = partitions.map(one => ({ ...one, offset: spec }))
    const options = { ...OPTIONS, ...(isolation && { isolationLevel: choose(ISOLATIONS, 'isolation', isolation) }) }
    const found = await promised(callback => this.admin.listOffsets(asked, options, callback))
    const offsets = {}
    for (const { topic, partition, offset, timestamp, leaderEpoch, error } of found) {
      offsets[nameOf(topic, partition)] = error
        ? { error: explain(error) }
        : { offset, timestamp, ...(leaderEpoch !== undefined && { leader_epoch: leaderEpoch }) }
    }
    return { offsets }
  }

  async delete_records({ offsets }) {
    const asked = Object.entries(offsets).map(([name, offset]) => ({ ...partitionOf(name), offset }))
    const deleted = await promised(callback => this.admin.deleteRecords(asked, OPTIONS, callback))
    const results = {}
    for (const { topic, partition, lowWatermark, error } of deleted) {
      results[nameOf(topic, partition)] = error ? { error: explain(error) } : { low_watermark: lowWatermark }
    }
    return { offsets: results }
  }

  async close() {
    this.admin.disconnect()
    return {}
  }
}

function newTopic({ name, partitions, replication, configs }) {
  const config = Object.fromEntries(Object.entries(configs ?? {}).map(([key, value]) => [key, String(value)]))
  return {
    topic: name,
    num_partitions: partitions ?? -1,
    replication_factor: replication ?? -1,
    config,
  }
}

function groupOf({ state, partitionAssignor, protocol, protocolType, coordinator, members }) {
  return {
    state: STATES[state],
    protocol: partitionAssignor ?? protocol,
    protocol_type: protocolType,
    coordinator: coordinator?.id,
    members: members.map(member => ({
      member_id: member.memberId,
      ...(member.groupInstanceId && { instance_id: member.groupInstanceId }),
      client_id: member.clientId,
      assignment: (member.assignment?.topicPartitions ?? []).map(one => nameOf(one.topic, one.partition)),
    })),
  }
}
