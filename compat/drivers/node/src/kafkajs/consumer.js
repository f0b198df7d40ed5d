import { randomUUID } from 'node:crypto'
import { Consuming } from '../consuming.js'
import { DriverError, badCommand, unsupported } from '../errors.js'
import { toLine } from '../inbox.js'
import { byTopic, choose, nameOf, translate } from '../words.js'
import { AssignerProtocol, CLIENT_WORDS, PartitionAssigners, explain, newKafka } from './client.js'

/** How often a consumer whose inbox is full heartbeats: less than any session's third. */
const BEAT_MS = 500

const WORDS = {
  ...CLIENT_WORDS,
  group: 'groupId',
  auto_commit: 'autoCommit',
  auto_commit_interval_ms: 'autoCommitInterval',
  reset: (value, options) => {
    options.fromBeginning = choose({ earliest: true, latest: false }, 'reset', value)
  },
  session_timeout_ms: 'sessionTimeout',
  heartbeat_interval_ms: 'heartbeatInterval',
  rebalance_timeout_ms: 'rebalanceTimeout',
  metadata_max_age_ms: 'metadataMaxAge',
  rack: 'rackId',
  assignor: (value, options) => {
    options.partitionAssigners = choose({ roundrobin: [PartitionAssigners.roundRobin] }, 'assignor', value)
  },
  isolation: (value, options) => {
    const isolations = { read_uncommitted: true, read_committed: false }
    options.readUncommitted = choose(isolations, 'isolation', value)
  },
  fetch_min_bytes: 'minBytes',
  fetch_max_wait_ms: 'maxWaitTimeInMs',
  fetch_max_bytes: 'maxBytes',
  partition_max_bytes: 'maxBytesPerPartition',
  allow_auto_create_topics: 'allowAutoTopicCreation',
}

export class KafkajsConsumer extends Consuming {
  /** @param {{config: any, topics?: string[], pattern?: string, assign?: any[]}} command */
  static open({ config, topics, pattern, assign }) {
    const options = translate(config, WORDS)
    if (assign) {
      // It reads in groups alone: here as the only member, which gets just what is asked for.
      options.partitionAssigners = [only(assign)]
      if (options.groupId === undefined) options.autoCommit ??= false
      return new KafkajsConsumer(options, [...byTopic(assign).keys()], assign)
    }
    if (!topics && !pattern) throw badCommand('neither topics nor a pattern nor assign')
    return new KafkajsConsumer(options, topics ?? [new RegExp(pattern)], [])
  }

  constructor({ client, autoCommit, autoCommitInterval, fromBeginning, ...options }, topics, begin) {
    super(autoCommit ?? true)
    this.kafka = newKafka(client)
    this.groupId = options.groupId ?? randomUUID()
    this.consumer = this.kafka.consumer({ ...options, groupId: this.groupId })
    this.owned = []
    this.closing = false
    this.admin = null
    /** @type {Promise<void>} */
    this.joining = Promise.resolve()
    /** How often each partition was sought: what was fetched before belongs nowhere. */
    this.seeks = new Map()
    /** Where to, until something is taken. */
    this.sought = new Map()
    this.#watch()
    const run = { autoCommit, autoCommitInterval, eachMessage: message => this.#arrived(message) }
    this.running = this.#start({ topics, fromBeginning }, run, begin)
    this.running.catch(error => this.failed(explain(error)))
  }

  async #start(subscription, run, begin) {
    await this.consumer.connect()
    await this.consumer.subscribe(subscription)
    const sought = await Promise.all(begin.filter(one => one.offset !== 'committed').map(one => this.#place(one)))
    // The group is joined in the background; from here on the consumer takes orders.
    this.joining = this.consumer.run(run).catch(error => this.failed(explain(error)))
    for (const one of sought) this.#seek(one)
  }

  /** A number for an end: its own special offsets are taken for 0 or commit nonsense. */
  async #place({ topic, partition, offset }) {
    if (typeof offset === 'number') return { topic, partition, offset }
    const found = await offsetsAt(await this.#admin(), [{ topic, partition }], offset)
    return { topic, partition, ...found[nameOf(topic, partition)] }
  }

  #seek({ topic, partition, offset }) {
    const name = nameOf(topic, partition)
    this.consumer.seek({ topic, partition, offset: String(offset) })
    this.seeks.set(name, (this.seeks.get(name) ?? 0) + 1)
    this.sought.set(name, offset)
    this.inbox.drop(name)
  }

  #watch() {
    const { events } = this.consumer
    this.consumer.on(events.GROUP_JOIN, ({ payload }) => {
      this.#released({ member_id: payload.memberId })
      const topics = Object.entries(payload.memberAssignment)
      this.owned = topics.flatMap(([topic, ones]) => ones.map(partition => ({ topic, partition })))
      this.assigned(this.owned, { member_id: payload.memberId })
    })
    this.consumer.on(events.REBALANCING, ({ payload }) => this.#released({ member_id: payload.memberId }))
    this.consumer.on(events.CRASH, ({ payload }) => {
      this.failed(explain(payload.error))
      // What crashes because it was closed would start itself again.
      if (this.closing && payload.restart) setImmediate(() => this.consumer.disconnect())
    })
  }

  /** Rebalances are eager: whoever rejoins has nothing until it is assigned anew. */
  #released(more) {
    if (this.owned.length > 0) this.revoked(this.owned, 'revoked', more)
    this.owned = []
  }

  async #arrived({ topic, partition, message, heartbeat }) {
    const name = nameOf(topic, partition)
    const seeks = this.seeks.get(name)
    while (this.inbox.isFull && !this.closing && this.seeks.get(name) === seeks) {
      await this.inbox.changed(BEAT_MS)
      await heartbeat()
    }
    if (this.seeks.get(name) !== seeks) return
    this.received(
      toLine({
        topic,
        partition,
        offset: Number(message.offset),
        key: message.key,
        value: message.value,
        headers: Object.entries(message.headers ?? {}).flatMap(([header, values]) =>
          [values].flat().map(value => [header, value]),
        ),
        timestamp: Number(message.timestamp),
      }),
    )
  }

  assignment() {
    return this.owned
  }

  async commit({ offsets }) {
    await this.running
    const all = this.toCommit(offsets).map(({ leader_epoch, offset, ...at }) => {
      if (leader_epoch !== undefined && leader_epoch !== null) throw unsupported('leader epochs of commits')
      return { ...at, offset: String(offset) }
    })
    await this.consumer.commitOffsets(all)
    return {}
  }

  async committed({ partitions }) {
    const admin = await this.#admin()
    const topics = [...byTopic(partitions).keys()]
    const found = await admin.fetchOffsets({ groupId: this.groupId, topics })
    return { offsets: pick(partitions, found, ({ offset, metadata }) => ({ offset: Number(offset), metadata })) }
  }

  /** It does not tell positions: known is what was taken, and what was sought. */
  async positions(partitions) {
    const known = partitions.map(({ topic, partition }) => {
      const name = nameOf(topic, partition)
      return [name, this.inbox.taken.get(name) ?? this.sought.get(name) ?? null]
    })
    return Object.fromEntries(known)
  }

  position({ partitions }) {
    return this.positionsOf(partitions)
  }

  async seek({ partition: { topic, partition }, offset }) {
    await this.running
    this.#seek(await this.#place({ topic, partition, offset }))
    return {}
  }

  async pause({ partitions }) {
    await this.running
    this.consumer.pause(topicPartitions(partitions))
    return {}
  }

  async resume({ partitions }) {
    await this.running
    this.consumer.resume(topicPartitions(partitions))
    return {}
  }

  async offsets({ partitions, at }) {
    return { offsets: await offsetsAt(await this.#admin(), partitions, at) }
  }

  async close() {
    this.closing = true
    this.inbox.grab(this.inbox.records.length)
    // Whoever disconnects while it is still joining leaves a member behind.
    await this.running.catch(() => {})
    await this.joining
    await this.consumer.disconnect()
    await this.admin?.disconnect()
    return {}
  }

  /** kafkajs asks for offsets through its admin alone. */
  async #admin() {
    if (this.admin === null) {
      this.admin = this.kafka.admin()
      await this.admin.connect()
    }
    return this.admin
  }
}

/** An assigner, such as kafkajs has its users write, that assigns these partitions. */
function only(partitions) {
  const topics = [...byTopic(partitions).keys()]
  const assignment = Object.fromEntries(topicPartitions(partitions).map(one => [one.topic, one.partitions]))
  const userData = Buffer.alloc(0)
  const { MemberAssignment, MemberMetadata } = AssignerProtocol
  return () => ({
    name: 'only',
    version: 1,
    assign: async ({ members }) =>
      members.map(({ memberId }) => ({
        memberId,
        memberAssignment: MemberAssignment.encode({ version: 1, assignment, userData }),
      })),
    protocol: () => ({ name: 'only', metadata: MemberMetadata.encode({ version: 1, topics, userData }) }),
  })
}

export function topicPartitions(partitions) {
  return [...byTopic(partitions)].map(([topic, ones]) => ({
    topic,
    partitions: ones.map(one => one.partition),
  }))
}

/** Of kafkajs' offsets by topic those of the partitions asked for; its -1 is none. */
export function pick(partitions, topics, toResult) {
  const offsets = {}
  for (const { topic, partition } of partitions) {
    const of = topics.find(one => one.topic === topic)?.partitions ?? []
    const found = of.find(one => one.partition === partition)
    offsets[nameOf(topic, partition)] = found && Number(found.offset) >= 0 ? toResult(found) : null
  }
  return offsets
}

/**
 * Offsets at the log's ends or at a time. For a time after every record kafkajs gives the end,
 * where there is no such record.
 */
export async function offsetsAt(admin, partitions, at) {
  const offsets = {}
  for (const [topic, ones] of byTopic(partitions)) {
    const ends = await admin.fetchTopicOffsets(topic)
    const times = typeof at === 'number' ? await admin.fetchTopicOffsetsByTimestamp(topic, at) : null
    for (const { partition } of ones) {
      const end = ends.find(one => one.partition === partition)
      if (!end) throw new DriverError('CLIENT', `no partition ${nameOf(topic, partition)}`)
      const ofTime = times?.find(one => one.partition === partition)?.offset
      const chosen = { earliest: end.low, latest: end.high }[at] ?? ofTime
      if (chosen === undefined) throw unsupported(`offsets at ${at}`)
      const isNone = ofTime !== undefined && ofTime === end.high
      offsets[nameOf(topic, partition)] = isNone ? null : { offset: Number(chosen) }
    }
  }
  return offsets
}
