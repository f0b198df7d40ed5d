import { brokerError, unsupported } from '../errors.js'
import { byTopic, choose, each, nameOf, partitionOf, translate } from '../words.js'
import { AssignerProtocol, CLIENT_WORDS, ConfigResourceTypes, explain, newKafka } from './client.js'
import { offsetsAt, pick } from './consumer.js'

const CONFIG_SOURCES = [
  'UNKNOWN', 'DYNAMIC_TOPIC_CONFIG', 'DYNAMIC_BROKER_CONFIG', 'DYNAMIC_DEFAULT_BROKER_CONFIG',
  'STATIC_BROKER_CONFIG', 'DEFAULT_CONFIG', 'DYNAMIC_BROKER_LOGGER_CONFIG',
]
const RESOURCES = { topic: ConfigResourceTypes.TOPIC, broker: ConfigResourceTypes.BROKER }
const TOPIC_ALREADY_EXISTS = 36

export class KafkajsAdmin {
  /** @param {{config: any}} command */
  static async open({ config }) {
    const { client } = translate(config, CLIENT_WORDS)
    const admin = newKafka(client).admin()
    await admin.connect()
    return new KafkajsAdmin(admin)
  }

  /** @param {import('kafkajs').Admin} admin */
  constructor(admin) {
    this.admin = admin
  }

  async create_topics({ topics, validate_only = false }) {
    const names = topics.map(topic => topic.name)
    const results = Object.fromEntries(names.map(name => [name, {}]))
    try {
      const options = { topics: topics.map(newTopic), validateOnly: validate_only, waitForLeaders: !validate_only }
      if (!(await this.admin.createTopics(options))) {
        // It says so with false, when it is so of all of them.
        for (const name of names) results[name] = { error: brokerError(TOPIC_ALREADY_EXISTS, 'exists') }
      }
    } catch (error) {
      const errors = error.errors?.filter(one => one.topic) ?? []
      if (errors.length === 0) throw error
      for (const one of errors) results[one.topic] = { error: explain(one) }
    }
    return { topics: results }
  }

  // A call for each topic, here and below: an error does not say which of several it is of.
  async delete_topics({ topics }) {
    return { topics: await each(topics, explain, topic => this.admin.deleteTopics({ topics: [topic] })) }
  }

  async create_partitions({ topic, count, assignments }) {
    const wanted = { topic, count, ...(assignments && { assignments }) }
    await this.admin.createPartitions({ topicPartitions: [wanted] })
    return {}
  }

  async list_topics() {
    return { topics: await this.admin.listTopics() }
  }

  async describe_topics({ topics }) {
    const describe = async topic => {
      const found = await this.admin.fetchTopicMetadata({ topics: [topic] })
      const partitions = found.topics.find(one => one.name === topic)?.partitions ?? []
      return {
        partitions: partitions
          .map(({ partitionId, leader, replicas, isr }) => ({ partition: partitionId, leader, replicas, isr }))
          .sort((a, b) => a.partition - b.partition),
      }
    }
    return { topics: await each(topics, explain, describe) }
  }

  async describe_cluster() {
    const { clusterId, controller, brokers } = await this.admin.describeCluster()
    return {
      cluster_id: clusterId,
      controller,
      brokers: brokers.map(({ nodeId, host, port }) => ({ id: nodeId, host, port })),
    }
  }

  async describe_configs({ type, name }) {
    const resource = { type: choose(RESOURCES, 'configs of', type), name }
    const { resources } = await this.admin.describeConfigs({ resources: [resource], includeSynonyms: false })
    const configs = {}
    for (const entry of resources.flatMap(one => one.configEntries)) {
      configs[entry.configName] = {
        value: entry.configValue,
        source: CONFIG_SOURCES[entry.configSource],
        default: entry.isDefault,
        sensitive: entry.isSensitive,
        read_only: entry.readOnly,
      }
    }
    return { configs }
  }

  /** Not incremental: what is not set goes back to its default, so there is nothing to unset. */
  async alter_configs({ type, name, set = {} }) {
    const configEntries = Object.entries(set ?? {}).map(([entry, value]) => ({ name: entry, value: String(value) }))
    const resource = { type: choose(RESOURCES, 'configs of', type), name, configEntries }
    await this.admin.alterConfigs({ resources: [resource], validateOnly: false })
    return {}
  }

  async list_groups({ states }) {
    if (states) throw unsupported('groups by state')
    const { groups } = await this.admin.listGroups()
    return { groups: groups.map(one => ({ group: one.groupId, protocol_type: one.protocolType })) }
  }

  async describe_groups({ groups }) {
    const describe = async name => {
      const found = (await this.admin.describeGroups([name])).groups[0]
      return {
        state: found.state,
        protocol: found.protocol,
        protocol_type: found.protocolType,
        members: found.members.map(member => ({
          member_id: member.memberId,
          client_id: member.clientId,
          assignment: assignmentOf(member),
        })),
      }
    }
    return { groups: await each(groups, explain, describe) }
  }

  async delete_groups({ groups }) {
    const remove = async group => {
      try {
        await this.admin.deleteGroups([group])
      } catch (error) {
        throw error.groups?.[0]?.error ?? error
      }
    }
    return { groups: await each(groups, explain, remove) }
  }

  async group_offsets({ group, partitions }) {
    const topics = partitions ? [...byTopic(partitions).keys()] : undefined
    const found = await this.admin.fetchOffsets({ groupId: group, topics })
    const wanted = partitions ?? found.flatMap(({ topic, partitions: ones }) =>
      ones.map(({ partition }) => ({ topic, partition })),
    )
    return { offsets: pick(wanted, found, ({ offset, metadata }) => ({ offset: Number(offset), metadata })) }
  }

  /** Its way is to join the group as a consumer that seeks. */
  async alter_group_offsets({ group, offsets }) {
    const wanted = Object.entries(offsets).map(([name, at]) => {
      const { metadata, leader_epoch, offset } = at
      if (metadata || (leader_epoch ?? null) !== null) throw unsupported('metadata and epochs of offsets')
      return { ...partitionOf(name), offset: String(offset) }
    })
    const results = {}
    for (const [topic, ones] of byTopic(wanted)) {
      const partitions = ones.map(({ partition, offset }) => ({ partition, offset }))
      const outcome = await each([topic], explain, () => this.admin.setOffsets({ groupId: group, topic, partitions }))
      for (const { partition } of ones) results[nameOf(topic, partition)] = outcome[topic]
    }
    return { offsets: results }
  }

  async list_offsets({ partitions, at, isolation }) {
    // It leaves the isolation out of what it asks, which is read_uncommitted on the wire.
    if (isolation && isolation !== 'read_uncommitted') throw unsupported(`isolation ${isolation}`)
    const offsets = await offsetsAt(this.admin, partitions, at)
    for (const name of Object.keys(offsets)) offsets[name] ??= { offset: -1 }
    return { offsets }
  }

  async delete_records({ offsets }) {
    const remove = async name => {
      const { topic, partition } = partitionOf(name)
      const partitions = [{ partition, offset: String(offsets[name]) }]
      try {
        // It looks for leaders before it has the topic's metadata, unless something asked before.
        await this.admin.fetchTopicOffsets(topic)
        await this.admin.deleteTopicRecords({ topic, partitions })
      } catch (error) {
        throw error.partitions?.[0]?.error ?? error.cause?.partitions?.[0]?.error ?? error
      }
    }
    return { offsets: await each(Object.keys(offsets), explain, remove) }
  }

  async close() {
    await this.admin.disconnect()
    return {}
  }
}

function newTopic({ name, partitions, replication, configs, assignments }) {
  return {
    topic: name,
    ...(partitions && { numPartitions: partitions }),
    ...(replication && { replicationFactor: replication }),
    ...(configs && {
      configEntries: Object.entries(configs).map(([entry, value]) => ({ name: entry, value: String(value) })),
    }),
    ...(assignments && {
      replicaAssignment: Object.entries(assignments).map(([partition, replicas]) => ({
        partition: Number(partition),
        replicas,
      })),
    }),
  }
}

function assignmentOf(member) {
  const decoded = member.memberAssignment.length > 0 && AssignerProtocol.MemberAssignment.decode(member.memberAssignment)
  const topics = Object.entries((decoded && decoded.assignment) || {})
  return topics.flatMap(([topic, partitions]) => partitions.map(partition => nameOf(topic, partition)))
}
