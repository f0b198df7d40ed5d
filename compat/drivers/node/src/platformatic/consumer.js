import { randomUUID } from 'node:crypto'
import { Consumer, FetchIsolationLevels, ListOffsetTimestamps } from '@platformatic/kafka'
import { Consuming } from '../consuming.js'
import { badCommand, unsupported } from '../errors.js'
import { toLine } from '../inbox.js'
import { byTopic, choose, nameOf } from '../words.js'
import { CLIENT_WORDS, explain, optionsOf } from './client.js'

const WORDS = {
  ...CLIENT_WORDS,
  group: 'groupId',
  instance_id: 'groupInstanceId',
  auto_commit: 'autocommit',
  auto_commit_interval_ms: 'interval',
  reset: (value, options) => {
    options.fallbackMode = choose({ earliest: 'earliest', latest: 'latest', none: 'fail' }, 'reset', value)
  },
  session_timeout_ms: 'sessionTimeout',
  heartbeat_interval_ms: 'heartbeatInterval',
  rebalance_timeout_ms: 'rebalanceTimeout',
  assignor: (value, options) => {
    options.protocols = choose({ roundrobin: [{ name: 'roundrobin', version: 1 }] }, 'assignor', value)
  },
  isolation: (value, options) => {
    const { READ_COMMITTED, READ_UNCOMMITTED } = FetchIsolationLevels
    const isolations = { read_uncommitted: READ_UNCOMMITTED, read_committed: READ_COMMITTED }
    options.isolationLevel = choose(isolations, 'isolation', value)
  },
  fetch_min_bytes: 'minBytes',
  fetch_max_wait_ms: 'maxWaitTime',
  fetch_max_bytes: 'maxBytes',
  partition_max_bytes: 'maxBytesPerPartition',
  allow_auto_create_topics: 'autocreateTopics',
}

/** @param {{config: any, topics?: string[], pattern?: string, assign?: any[]}} command */
export function openConsumer({ config, topics, pattern, assign }) {
  const options = optionsOf(config, WORDS)
  if (assign) return new PlatformaticReader(options, assign)
  if (pattern) throw unsupported('patterns')
  if (!topics) throw badCommand('neither topics nor assign')
  return new PlatformaticMember(options, topics)
}

/** What a member of a group and a reader have in common. */
class PlatformaticConsumer extends Consuming {
  constructor({ interval, fallbackMode, ...options }) {
    super(options.autocommit ?? true)
    if (interval !== undefined && this.autoCommit) options.autocommit = interval
    this.options = options
    this.fallback = fallbackMode === undefined ? {} : { fallbackMode }
    this.owned = []
    this.stream = null
    /** @type {any} */
    this.consumer = null
    this.ready = Promise.resolve()
  }

  newConsumer(groupId) {
    const consumer = new Consumer(/** @type {any} */ ({ ...this.options, groupId }))
    consumer.on('consumer:heartbeat:error', ({ error }) => this.failed(explain(error)))
    consumer.on('error', error => this.failed(explain(error)))
    return consumer
  }

  /** @param {(message: any) => boolean} [wanted] */
  flow(stream, wanted = () => true) {
    this.stream = stream
    stream.on('error', error => this.failed(explain(error)))
    stream.on('autocommit', error => {
      if (error) this.failed(explain(error))
    })
    stream.on('data', async message => {
      if (!wanted(message)) return
      this.received(toRecord(message))
      if (!this.inbox.isFull || stream.isPaused()) return
      stream.pause()
      // Heartbeats do not wait for whoever reads the stream.
      await this.inbox.until(() => !this.inbox.isFull, Infinity)
      stream.resume()
    })
  }

  assignment() {
    return this.owned
  }

  async commit({ offsets }) {
    await this.ready
    const all = this.toCommit(offsets).map(({ offset, metadata, leader_epoch, ...at }) => {
      if (typeof metadata === 'string' && metadata !== '') throw unsupported('metadata of commits')
      return { ...at, offset: BigInt(offset), leaderEpoch: leader_epoch ?? -1 }
    })
    if (all.length > 0) await this.consumer.commit({ offsets: all })
    return {}
  }

  async committed({ partitions }) {
    await this.ready
    const found = {}
    // It gives a list by place in the answer or by number: a partition at a time it is told apart.
    for (const { topic, partition } of partitions) {
      const topics = [{ topic, partitions: [partition] }]
      const offset = (await this.consumer.listCommittedOffsets({ topics })).get(topic)?.[partition] ?? -1n
      found[nameOf(topic, partition)] = offset >= 0n ? { offset: Number(offset) } : null
    }
    return { offsets: found }
  }

  async positions(partitions) {
    await this.ready
    /** @type {{[name: string]: number|null}} */
    const offsets = {}
    for (const { topic, partition } of partitions) {
      const offset = this.stream?.offsetsToFetch.get(`${topic}:${partition}`)
      offsets[nameOf(topic, partition)] = offset === undefined ? null : Number(offset)
    }
    return offsets
  }

  position({ partitions }) {
    return this.positionsOf(partitions)
  }

  async offsets({ partitions, at }) {
    await this.ready
    return { offsets: await offsetsAt(this.consumer, partitions, at) }
  }

  async close() {
    this.inbox.grab(this.inbox.records.length)
    // In this order: a consumer that closes its streams itself refuses their last commit.
    await this.stream?.close()
    await this.consumer.close(true)
    return {}
  }
}

class PlatformaticMember extends PlatformaticConsumer {
  constructor(options, topics) {
    super(options)
    this.consumer = this.newConsumer(options.groupId ?? randomUUID())
    this.consumer.on('consumer:group:join', ({ assignments, generationId, memberId }) => {
      this.#released()
      this.owned = (assignments ?? []).flatMap(({ topic, partitions }) =>
        partitions.map(partition => ({ topic, partition })),
      )
      this.assigned(this.owned, { generation: generationId, member_id: memberId })
    })
    this.consumer.on('consumer:group:rebalance', () => this.#released())
    const consuming = this.consumer.consume({ topics, mode: 'committed', ...this.fallback })
    this.ready = consuming.then(stream => this.flow(stream))
    this.ready.catch(error => this.failed(explain(error)))
  }

  /** Rebalances are eager: whoever rejoins has nothing until it is assigned anew. */
  #released() {
    if (this.owned.length === 0) return
    const { generationId, memberId } = this.consumer
    this.revoked(this.owned, 'revoked', { generation: generationId, member_id: memberId })
    this.owned = []
  }
}

/**
 * Partitions from given offsets. It reads in groups alone: here as the only member of one, with a
 * stream in its manual mode, which begins at the offsets that it is told; what it reads of other
 * partitions of the topics is left out. To seek is to begin such a stream anew.
 */
class PlatformaticReader extends PlatformaticConsumer {
  constructor(options, assign) {
    super({ ...options, ...(options.groupId === undefined && { autocommit: options.autocommit ?? false }) })
    this.owned = assign.map(({ topic, partition }) => ({ topic, partition }))
    /** The next offset to receive, by partition. @type {Map<string, number>} */
    this.next = new Map()
    this.consumer = this.newConsumer(options.groupId ?? randomUUID())
    this.ready = this.#begin(assign)
    this.ready.then(
      () => this.assigned(this.owned),
      error => this.failed(explain(error)),
    )
  }

  async #begin(places) {
    for (const { topic, partition, offset } of places) {
      this.next.set(nameOf(topic, partition), await this.#place(topic, partition, offset))
    }
    const offsets = this.owned.map(({ topic, partition }) => {
      const offset = BigInt(this.next.get(nameOf(topic, partition)) ?? 0)
      return { topic, partition, offset }
    })
    const topics = [...byTopic(this.owned).keys()]
    const stream = await this.consumer.consume({ topics, mode: 'manual', offsets, ...this.fallback })
    this.flow(stream, ({ topic, partition, offset }) => {
      const name = nameOf(topic, partition)
      if (this.stream !== stream || !this.next.has(name)) return false
      this.next.set(name, Number(offset) + 1)
      return true
    })
  }

  async #place(topic, partition, offset) {
    if (typeof offset === 'number') return offset
    if (offset === 'committed') throw unsupported('to begin at what is committed')
    const found = await offsetsAt(this.consumer, [{ topic, partition }], offset)
    return found[nameOf(topic, partition)].offset
  }

  async seek({ partition: { topic, partition }, offset }) {
    await this.ready
    const place = { topic, partition, offset: await this.#place(topic, partition, offset) }
    this.stream = null
    this.inbox.drop(nameOf(topic, partition))
    const { groupId } = this.consumer
    await this.consumer.close(true)
    this.consumer = this.newConsumer(this.options.groupId === undefined ? randomUUID() : groupId)
    await this.#begin([place])
    return {}
  }
}

async function offsetsAt(consumer, partitions, at) {
  const { EARLIEST, LATEST } = ListOffsetTimestamps
  const ends = { earliest: EARLIEST, latest: LATEST }
  const timestamp = typeof at === 'number' ? BigInt(at) : choose(ends, 'offsets at', at)
  const wanted = byTopic(partitions)
  const found = await consumer.listOffsetsWithTimestamps({
    topics: [...wanted.keys()],
    partitions: Object.fromEntries([...wanted].map(([topic, ones]) => [topic, ones.map(one => one.partition)])),
    timestamp,
  })
  const offsets = {}
  for (const { topic, partition } of partitions) {
    const one = found.get(topic)?.get(partition)
    const ofTime = one && one.timestamp >= 0n ? { timestamp: Number(one.timestamp) } : {}
    offsets[nameOf(topic, partition)] = one && one.offset >= 0n ? { offset: Number(one.offset), ...ofTime } : null
  }
  return offsets
}

function toRecord({ topic, partition, offset, key, value, headers, timestamp }) {
  return toLine({
    topic,
    partition,
    offset: Number(offset),
    key,
    value,
    headers: [...headers],
    timestamp: Number(timestamp),
  })
}
