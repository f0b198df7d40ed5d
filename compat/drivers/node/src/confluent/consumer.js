import { randomUUID } from 'node:crypto'
import { Consuming } from '../consuming.js'
import { badCommand, unsupported } from '../errors.js'
import { toLine } from '../inbox.js'
import { choose, nameOf, sleep, translate } from '../words.js'
import { CLIENT_WORDS, PATIENCE_MS, explain, promised, rdkafka } from './client.js'

const { ERRORS } = rdkafka.CODES
const MOST_AT_ONCE = 500
const POLL_MS = 100

const WORDS = {
  ...CLIENT_WORDS,
  group: 'group.id',
  instance_id: 'group.instance.id',
  auto_commit: 'enable.auto.commit',
  auto_commit_interval_ms: 'auto.commit.interval.ms',
  reset: (value, options) => {
    const resets = { earliest: 'earliest', latest: 'latest', none: 'error' }
    options['auto.offset.reset'] = choose(resets, 'reset', value)
  },
  session_timeout_ms: 'session.timeout.ms',
  heartbeat_interval_ms: 'heartbeat.interval.ms',
  max_poll_interval_ms: 'max.poll.interval.ms',
  assignor: (value, options) => {
    const assignors = { range: 'range', roundrobin: 'roundrobin', cooperative: 'cooperative-sticky' }
    options['partition.assignment.strategy'] = choose(assignors, 'assignor', value)
  },
  isolation: 'isolation.level',
  fetch_min_bytes: 'fetch.min.bytes',
  fetch_max_wait_ms: 'fetch.wait.max.ms',
  fetch_max_bytes: 'fetch.max.bytes',
  partition_max_bytes: 'max.partition.fetch.bytes',
  check_crcs: 'check.crcs',
  allow_auto_create_topics: 'allow.auto.create.topics',
}

export class ConfluentConsumer extends Consuming {
  /** @param {{config: any, topics?: string[], pattern?: string, assign?: any[]}} command */
  static open({ config, topics, pattern, assign }) {
    if (!topics && !pattern && !assign) throw badCommand('neither topics nor a pattern nor assign')
    const options = { ...translate(config, WORDS), rebalance_cb: true, offset_commit_cb: true }
    if (options['group.id'] === undefined) {
      // Every consumer of librdkafka's must name a group; nobody asked this one to commit.
      options['group.id'] = randomUUID()
      options['enable.auto.commit'] ??= false
    }
    const start = assign
      ? consumer => consumer.assign(assign.map(toAssign))
      : consumer => consumer.subscribe(topics ?? [pattern.startsWith('^') ? pattern : `^(${pattern})`])
    return new ConfluentConsumer(options, start)
  }

  constructor(options, start) {
    super(options['enable.auto.commit'] ?? true)
    this.consumer = new rdkafka.KafkaConsumer(options)
    this.consumer.setDefaultConsumeTimeout(POLL_MS)
    this.consumer.setDefaultIsTimeoutOnlyForFirstMessage(true)
    this.consumer.on('event.error', error => this.failed(explain(error)))
    this.consumer.on('rebalance', (error, partitions) => this.#rebalanced(error, partitions))
    this.consumer.on('rebalance.error', error => this.failed(explain(error)))
    this.consumer.on('offset.commit', (error, offsets) => this.#commitDone(error, offsets))
    /** Commits that were sent. @type {{places: string[], done: (error: any) => void}[]} */
    this.commits = []
    this.closing = false
    /** Partitions that a command paused, by name, and whether all are because the inbox is full. */
    this.paused = new Set()
    this.held = false
    /** Polls and whatever moves positions take turns. */
    this.turn = Promise.resolve()
    this.ready = promised(callback => this.consumer.connect({}, callback)).then(() => start(this.consumer))
    this.polling = this.ready.then(() => this.#poll()).catch(error => this.failed(explain(error)))
  }

  #rebalanced(error, partitions) {
    if (error.code === ERRORS.ERR__ASSIGN_PARTITIONS) {
      this.assigned(partitions)
    } else if (error.code === ERRORS.ERR__REVOKE_PARTITIONS) {
      for (const { topic, partition } of partitions) this.paused.delete(nameOf(topic, partition))
      this.revoked(partitions, this.consumer.assignmentLost() ? 'lost' : 'revoked')
    } else {
      this.failed(explain(error))
    }
  }

  #inTurn(work) {
    const done = this.turn.then(work)
    this.turn = done.catch(() => {})
    return done
  }

  async #poll() {
    while (!this.closing) {
      await this.#inTurn(async () => {
        if (this.closing) return
        this.#holdOrNot()
        try {
          const messages = await promised(callback => this.consumer.consume(MOST_AT_ONCE, callback))
          for (const message of messages) this.received(toRecord(message))
        } catch (error) {
          this.failed(explain(error))
          if (error.isFatal) this.closing = true
          await sleep(POLL_MS)
        }
      })
    }
  }

  /** A full inbox pauses what is assigned: polling must go on, or membership would end. */
  #holdOrNot() {
    if (this.inbox.isFull) {
      this.held = true
      this.consumer.pause(this.assignment())
    } else if (this.held) {
      this.held = false
      const running = this.assignment().filter(one => !this.paused.has(nameOf(one.topic, one.partition)))
      this.consumer.resume(running)
    }
  }

  assignment() {
    if (!this.consumer.isConnected()) return []
    return this.consumer.assignments().map(({ topic, partition }) => ({ topic, partition }))
  }

  async commit({ offsets }) {
    await this.ready
    const all = this.toCommit(offsets).map(({ leader_epoch, metadata, ...at }) => ({
      ...at,
      ...(typeof metadata === 'string' && { metadata }),
      ...(typeof leader_epoch === 'number' && { leaderEpoch: leader_epoch }),
    }))
    if (all.length > 0) {
      await promised(done => {
        this.commits.push({ places: all.map(place), done })
        this.consumer.commit(all)
      })
    }
    return {}
  }

  /** The callback of `commitCb` comes when a commit is sent; this event, when it is answered. */
  #commitDone(error, offsets) {
    const answered = new Set(offsets.map(place))
    const found = this.commits.findIndex(({ places }) => places.every(one => answered.has(one)))
    if (found < 0) return // an auto-commit
    const [{ done }] = this.commits.splice(found, 1)
    done(error)
  }

  async committed({ partitions }) {
    await this.ready
    const found = await promised(callback => this.consumer.committed(partitions, PATIENCE_MS, callback))
    const offsets = {}
    for (const { topic, partition, offset, metadata = '' } of found) {
      offsets[nameOf(topic, partition)] = offset >= 0 ? { offset, metadata } : null
    }
    return { offsets }
  }

  async positions(partitions) {
    await this.ready
    /** @type {{[name: string]: number|null}} */
    const offsets = {}
    for (const { topic, partition, offset } of this.consumer.position(partitions)) {
      offsets[nameOf(topic, partition)] = offset >= 0 ? offset : null
    }
    return offsets
  }

  position({ partitions }) {
    return this.positionsOf(partitions)
  }

  async seek({ partition: { topic, partition }, offset }) {
    await this.ready
    await this.#inTurn(async () => {
      await promised(callback => this.consumer.seek({ topic, partition, offset }, PATIENCE_MS, callback))
      this.inbox.drop(nameOf(topic, partition))
    })
    return {}
  }

  async pause({ partitions }) {
    await this.ready
    await this.#inTurn(() => this.consumer.pause(partitions))
    for (const { topic, partition } of partitions) this.paused.add(nameOf(topic, partition))
    return {}
  }

  async resume({ partitions }) {
    await this.ready
    for (const { topic, partition } of partitions) this.paused.delete(nameOf(topic, partition))
    if (!this.held) await this.#inTurn(() => this.consumer.resume(partitions))
    return {}
  }

  async offsets({ partitions, at }) {
    await this.ready
    if (at === 'earliest' || at === 'latest') return { offsets: await this.#ends(partitions, at) }
    if (typeof at !== 'number') throw unsupported(`offsets at ${at}`)
    const asked = partitions.map(one => ({ ...one, offset: at }))
    const found = await promised(callback => this.consumer.offsetsForTimes(asked, PATIENCE_MS, callback))
    const entries = found.map(({ topic, partition, offset }) => [
      nameOf(topic, partition),
      offset >= 0 ? { offset } : null,
    ])
    return { offsets: Object.fromEntries(entries) }
  }

  async #ends(partitions, at) {
    const offsets = {}
    for (const { topic, partition } of partitions) {
      const { lowOffset, highOffset } = await promised(callback =>
        this.consumer.queryWatermarkOffsets(topic, partition, PATIENCE_MS, callback),
      )
      offsets[nameOf(topic, partition)] = { offset: at === 'earliest' ? lowOffset : highOffset }
    }
    return offsets
  }

  async close() {
    this.closing = true
    await this.polling
    await this.turn
    await promised(callback => this.consumer.disconnect(callback))
    return {}
  }
}

const place = ({ topic, partition, offset }) => `${nameOf(topic, partition)}@${offset}`

function toAssign({ topic, partition, offset }) {
  return { topic, partition, offset: offset === 'committed' ? 'stored' : offset }
}

function toRecord({ topic, partition, offset, key, value, headers = [], timestamp, leaderEpoch }) {
  return toLine({
    topic,
    partition,
    offset,
    key,
    value,
    headers: headers.flatMap(header => Object.entries(header)),
    timestamp,
    ...(leaderEpoch !== undefined && { leader_epoch: leaderEpoch }),
  })
}
