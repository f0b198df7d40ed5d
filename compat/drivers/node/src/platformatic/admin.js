import {
  Admin, ConfigResourceTypes, ConfigSources, FetchIsolationLevels, IncrementalAlterConfigOperationTypes,
} from '@platformatic/kafka'
import { unsupported } from '../errors.js'
import { byTopic, choose, each, nameOf, partitionOf } from '../words.js'
import { CLIENT_WORDS, explain, optionsOf } from './client.js'

const RESOURCES = {
  topic: ConfigResourceTypes.TOPIC,
  broker: ConfigResourceTypes.BROKER,
  group: ConfigResourceTypes.GROUP,
}
const SOURCES = Object.fromEntries(Object.entries(ConfigSources).map(([name, number]) => [number, name]))
SOURCES[ConfigSources.TOPIC_CONFIG] = 'DYNAMIC_TOPIC_CONFIG'
const TIMES = { latest: -1n, earliest: -2n, max_timestamp: -3n }
const ISOLATIONS = {
  read_uncommitted: FetchIsolationLevels.READ_UNCOMMITTED,
  read_committed: FetchIsolationLevels.READ_COMMITTED,
}
/** It hands on states in capitals. */
const STATES = {
  PREPARINGREBALANCE: 'PreparingRebalance',
  COMPLETINGREBALANCE: 'CompletingRebalance',
  STABLE: 'Stable',
  DEAD: 'Dead',
  EMPTY: 'Empty',
}
const STATE_WORDS = {
  PreparingRebalance: 'PREPARING_REBALANCE',
  CompletingRebalance: 'COMPLETING_REBALANCE',
  Stable: 'STABLE',
  Dead: 'DEAD',
  Empty: 'EMPTY',
}

export class PlatformaticAdmin {
  /** @param {{config: any}} command */
  static open({ config }) {
    return new PlatformaticAdmin(new Admin(optionsOf(config, CLIENT_WORDS)))
  }

  constructor(admin) {
    this.admin = admin
  }

  // A call for each topic, partition or group, here and below: an error does not say of which it is.
  async create_topics({ topics, validate_only }) {
    if (validate_only) throw unsupported('validation alone')
    const wanted = new Map(topics.map(topic => [topic.name, topic]))
    const create = async name => void (await this.admin.createTopics(newTopic(wanted.get(name))))
    return { topics: await each([...wanted.keys()], explain, create) }
  }

  async delete_topics({ topics }) {
    const remove = async topic => void (await this.admin.deleteTopics({ topics: [topic] }))
    return { topics: await each(topics, explain, remove) }
  }

  async create_partitions({ topic, count, assignments }) {
    const lists = assignments?.map(brokerIds => ({ brokerIds }))
    await this.admin.createPartitions({ topics: [{ name: topic, count, ...(lists && { assignments: lists }) }] })
    return {}
  }

  async list_topics() {
    return { topics: await this.admin.listTopics({ includeInternals: true }) }
  }

  async describe_topics({ topics }) {
    const describe = async name => {
      const found = (await this.admin.metadata({ topics: [name], forceUpdate: true })).topics.get(name)
      return {
        // Kafka's own way to write an id.
        id: Buffer.from(found.id.replaceAll('-', ''), 'hex').toString('base64url'),
        partitions: [...found.partitions].map(({ leader, leaderEpoch, replicas, isr }, partition) => ({
          partition, leader, replicas, isr, leader_epoch: leaderEpoch,
        })),
      }
    }
    return { topics: await each(topics, explain, describe) }
  }

  async describe_cluster() {
    const { id, controllerId, brokers } = await this.admin.metadata({ topics: [], forceUpdate: true })
    return {
      cluster_id: id,
      controller: controllerId,
      brokers: [...brokers].map(([number, { host, port, rack }]) => ({ id: number, host, port, rack })),
    }
  }

  async describe_configs({ type, name }) {
    const resource = { resourceType: choose(RESOURCES, 'configs of', type), resourceName: name }
    const [found] = await this.admin.describeConfigs({ resources: [resource] })
    const entries = found.configs.map(one => [
      one.name,
      {
        value: one.value,
        source: SOURCES[one.configSource],
        default: one.configSource === ConfigSources.DEFAULT_CONFIG,
        sensitive: one.isSensitive,
        read_only: one.readOnly,
      },
    ])
    return { configs: Object.fromEntries(entries) }
  }

  async alter_configs({ type, name, set, unset }) {
    const { SET, DELETE } = IncrementalAlterConfigOperationTypes
    const configs = [
      ...Object.entries(set ?? {}).map(([key, value]) => ({ name: key, configOperation: SET, value: String(value) })),
      ...(unset ?? []).map(key => ({ name: key, configOperation: DELETE })),
    ]
    const resource = { resourceType: choose(RESOURCES, 'configs of', type), resourceName: name, configs }
    await this.admin.incrementalAlterConfigs({ resources: [resource] })
    return {}
  }

  async list_groups({ states }) {
    const words = states?.map(state => choose(STATE_WORDS, 'state', state))
    const groups = await this.admin.listGroups(words ? { states: words } : {})
    return {
      groups: [...groups.values()].map(({ id, state, protocolType }) => ({
        group: id,
        state: STATES[state] ?? state,
        protocol_type: protocolType,
      })),
    }
  }

  async describe_groups({ groups }) {
    const describe = async name => {
      const { state, protocol, protocolType, members } = (await this.admin.describeGroups({ groups: [name] })).get(name)
      return {
        state: STATES[state] ?? state,
        protocol,
        protocol_type: protocolType,
        members: [...members.values()].map(member => ({
          member_id: member.id,
          ...(member.groupInstanceId && { instance_id: member.groupInstanceId }),
          client_id: member.clientId,
          assignment: [...(member.assignments?.values() ?? [])].flatMap(({ topic, partitions }) =>
            partitions.map(partition => nameOf(topic, partition)),
          ),
        })),
      }
    }
    return { groups: await each(groups, explain, describe) }
  }

  async delete_groups({ groups }) {
    const remove = async group => void (await this.admin.deleteGroups({ groups: [group] }))
    return { groups: await each(groups, explain, remove) }
  }

  async group_offsets({ group, partitions }) {
    const topics = partitions && [...byTopic(partitions)].map(indexes)
    const [found] = await this.admin.listConsumerGroupOffsets({
      groups: [topics ? { groupId: group, topics } : group],
    })
    const offsets = {}
    for (const { name, partitions: ones } of found.topics) {
      for (const { partitionIndex, committedOffset, metadata } of ones) {
        const offset = Number(committedOffset)
        offsets[nameOf(name, partitionIndex)] = offset >= 0 ? { offset, metadata } : null
      }
    }
    return { offsets }
  }

  async alter_group_offsets({ group, offsets }) {
    const alter = async name => {
      const { offset, metadata, leader_epoch } = offsets[name]
      if (metadata || (leader_epoch ?? null) !== null) throw unsupported('metadata and epochs of offsets')
      const { topic, partition } = partitionOf(name)
      const topics = [{ name: topic, partitionOffsets: [{ partition, offset: BigInt(offset) }] }]
      await this.admin.alterConsumerGroupOffsets({ groupId: group, topics })
    }
    return { offsets: await each(Object.keys(offsets), explain, alter) }
  }

  async delete_group_offsets({ group, partitions }) {
    const remove = async name => {
      const topics = [...byTopic([partitionOf(name)])].map(indexes)
      await this.admin.deleteConsumerGroupOffsets({ groupId: group, topics })
    }
    const names = partitions.map(({ topic, partition }) => nameOf(topic, partition))
    return { offsets: await each(names, explain, remove) }
  }

  async list_offsets({ partitions, at, isolation }) {
    const timestamp = typeof at === 'number' ? BigInt(at) : choose(TIMES, 'offsets at', at)
    const isolationLevel = isolation ? choose(ISOLATIONS, 'isolation', isolation) : undefined
    const list = async name => {
      const { topic, partition } = partitionOf(name)
      const [found] = await this.admin.listOffsets({
        topics: [{ name: topic, partitions: [{ partitionIndex: partition, timestamp }] }],
        ...(isolationLevel !== undefined && { isolationLevel }),
      })
      const one = found.partitions[0]
      return { offset: Number(one.offset), timestamp: Number(one.timestamp), leader_epoch: one.leaderEpoch }
    }
    const names = partitions.map(({ topic, partition }) => nameOf(topic, partition))
    return { offsets: await each(names, explain, list) }
  }

  async delete_records({ offsets }) {
    const remove = async name => {
      const { topic, partition } = partitionOf(name)
      const [found] = await this.admin.deleteRecords({
        topics: [{ name: topic, partitions: [{ partition, offset: BigInt(offsets[name]) }] }],
      })
      return { low_watermark: Number(found.partitions[0].lowWatermark) }
    }
    return { offsets: await each(Object.keys(offsets), explain, remove) }
  }

  async close() {
    await this.admin.close()
    return {}
  }
}

const indexes = ([name, ones]) => ({ name, partitionIndexes: ones.map(one => one.partition) })

function newTopic({ name, partitions, replication, configs, assignments }) {
  return {
    topics: [name],
    ...(partitions && { partitions }),
    ...(replication && { replicas: replication }),
    ...(configs && {
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value: String(value) })),
    }),
    ...(assignments && {
      assignments: Object.entries(assignments).map(([partition, brokers]) => ({ partition: Number(partition), brokers })),
    }),
  }
}
