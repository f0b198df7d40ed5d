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

export class PlatformaticConsumer extends Consuming {
  /** @param {{config: any, topics?: string[], pattern?: string, assign?: object[]}} command */
  static open({ config, topics, pattern, assign }) {
    if (assign) throw unsupported('partitions without a group')
    if (pattern) throw unsupported('patterns')
    if (!topics) throw badCommand('no topics')
    return new PlatformaticConsumer(optionsOf(config, WORDS), topics)
  }

  constructor({ interval, fallbackMode, ...options }, topics) {
    super(options.autocommit ?? true)
    if (interval !== undefined && options.autocommit !== false) options.autocommit = interval
    this.consumer = new Consumer({ groupId: randomUUID(), ...options })
    this.owned = []
    this.stream = null
    this.#watch()
    const consume = { topics, mode: 'committed', ...(fallbackMode && { fallbackMode }) }
    this.ready = this.consumer.consume(consume).then(stream => this.#flow(stream))
    this.ready.catch(error => this.failed(explain(error)))
  }

  #watch() {
    const member = () => ({ generation: this.consumer.generationId, member_id: this.consumer.memberId })
    this.consumer.on('consumer:group:join', ({ assignments, generationId, memberId }) => {
      this.#released(member())
      this.owned = (assignments ?? []).flatMap(({ topic, partitions }) =>
        partitions.map(partition => ({ topic, partition })),
      )
      this.assigned(this.owned, { generation: generationId, member_id: memberId })
    })
    this.consumer.on('consumer:group:rebalance', () => this.#released(member()))
    this.consumer.on('consumer:heartbeat:error', ({ error }) => this.failed(explain(error)))
    this.consumer.on('error', error => this.failed(explain(error)))
  }

  #released(more) {
    if (this.owned.length > 0) this.revoked(this.owned, 'revoked', more)
    this.owned = []
  }

  #flow(stream) {
    this.stream = stream
    stream.on('error', error => this.failed(explain(error)))
    stream.on('autocommit', error => {
      if (error) this.failed(explain(error))
    })
    stream.on('data', async message => {
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
    const { EARLIEST, LATEST } = ListOffsetTimestamps
    const timestamp = typeof at === 'number' ? BigInt(at) : choose({ earliest: EARLIEST, latest: LATEST }, 'offsets at', at)
    const wanted = byTopic(partitions)
    const found = await this.consumer.listOffsetsWithTimestamps({
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
    return { offsets }
  }

  async close() {
    this.inbox.grab(this.inbox.records.length)
    await this.consumer.close(true)
    return {}
  }
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
