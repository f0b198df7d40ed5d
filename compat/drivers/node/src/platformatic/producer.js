import { Producer, compatibilityPartitioner, defaultPartitioner } from '@platformatic/kafka'
import { Producing, countOffsets } from '../producing.js'
import { choose, nameOf } from '../words.js'
import { CLIENT_WORDS, explain, optionsOf } from './client.js'

const PARTITIONERS = {
  default: undefined,
  java: compatibilityPartitioner,
  murmur2: compatibilityPartitioner,
}

const WORDS = {
  ...CLIENT_WORDS,
  acks: 'acks',
  idempotent: 'idempotent',
  compression: 'compression',
  max_in_flight: 'maxInflights',
  partitioner: (value, options) => {
    options.partitioner = choose(PARTITIONERS, 'partitioner', value)
  },
}

export class PlatformaticProducer extends Producing {
  /** @param {{config: any}} command */
  static open({ config }) {
    return new PlatformaticProducer(optionsOf(config, WORDS))
  }

  /** @param {any} options */
  constructor({ partitioner, acks, ...options }) {
    super()
    this.producer = new Producer(options)
    this.partitioner = partitioner
    this.acks = acks
  }

  async deliver(records) {
    if (records.length === 0) return []
    // Where a record without key and partition went is told of one that is sent alone.
    const known = records.every(one => one.partition !== undefined || one.key !== null)
    if (known || records.length === 1) return this.#batch(records)
    const outcomes = await Promise.all(records.map(one => this.#batch([one])))
    return outcomes.flat()
  }

  /**
   * Records without key and partition go round the partitions: of as many as there are partitions,
   * or of a multiple, each gets the same number.
   */
  async deliverMany(records) {
    const { topic, key, partition } = records[0]
    if (key !== null || partition !== undefined || this.partitioner) return this.deliver(records)
    try {
      const metadata = await this.producer.metadata({ topics: [topic] })
      const partitions = metadata.topics.get(topic).partitionsCount
      const even = records.length - (records.length % partitions)
      const shares = even > 0 ? await this.#shared(records.slice(0, even), even / partitions) : []
      return [...shares, ...(await this.deliver(records.slice(even)))]
    } catch (error) {
      const explained = explain(error)
      return records.map(() => explained)
    }
  }

  async #shared(records, share) {
    const { offsets = [] } = await this.#send(records.map(toMessage))
    if (this.acks === 0) return records.map(() => ({ partition: -1, offset: -1 }))
    return offsets.flatMap(({ partition, offset }) =>
      Array.from({ length: share }, (_, i) => ({ partition, offset: Number(offset) + i })),
    )
  }

  #send(messages, more = {}) {
    return this.producer.send({
      messages,
      ...(this.acks !== undefined && { acks: this.acks }),
      ...(this.partitioner && { partitioner: this.partitioner }),
      ...more,
    })
  }

  async #batch(records) {
    const chosen = new Map()
    const partitioner = (message, key, context) => {
      const partition = (this.partitioner ?? defaultPartitioner)(message, key, context)
      chosen.set(message, partition)
      return partition
    }
    const messages = records.map(toMessage)
    const keyed = records.every(one => one.key !== null)
    try {
      const result = await this.#send(messages, keyed ? { partitioner } : {})
      return await this.#placed(messages, chosen, result.offsets ?? [])
    } catch (error) {
      const explained = explain(error)
      return records.map(() => explained)
    }
  }

  async #placed(messages, chosen, offsets) {
    const metadata = await this.producer.metadata({ topics: [...new Set(messages.map(one => one.topic))] })
    const placed = messages.map(message => {
      const { topic } = message
      const partition = message.partition ?? chosen.get(message) ?? offsets[0]?.partition ?? -1
      return { topic, partition: partition % metadata.topics.get(topic).partitionsCount }
    })
    const bases = new Map(offsets.map(one => [nameOf(one.topic, one.partition), Number(one.offset)]))
    return countOffsets(placed, (topic, partition) => ({ offset: bases.get(nameOf(topic, partition)) ?? -1 }))
  }

  async close() {
    await this.producer.close()
    return {}
  }
}

function toMessage({ topic, partition, key, value, headers, timestamp }) {
  return {
    topic,
    ...(partition !== undefined && { partition }),
    ...(key !== null && { key }),
    ...(value !== null && { value }),
    ...(headers.length > 0 && {
      // Its map goes by identity, so that a name may come twice.
      headers: new Map(headers.map(([name, bytes]) => [Buffer.from(name), bytes])),
    }),
    ...(timestamp !== undefined && { timestamp: BigInt(timestamp) }),
  }
}
