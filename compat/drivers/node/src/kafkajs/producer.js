import { Producing, countOffsets, headersAsObject } from '../producing.js'
import { DriverError, unsupported } from '../errors.js'
import { byTopic, choose, translate } from '../words.js'
import { CLIENT_WORDS, Partitioners, compressionTypes, explain, newKafka } from './client.js'

const COMPRESSION = compressionTypes()
export const CODECS = Object.keys(COMPRESSION).filter(name => name !== 'none')

const PARTITIONERS = {
  default: Partitioners.DefaultPartitioner,
  java: Partitioners.DefaultPartitioner,
  murmur2: Partitioners.DefaultPartitioner,
}

const WORDS = {
  ...CLIENT_WORDS,
  acks: 'acks',
  compression: (value, options) => {
    options.compression = choose(COMPRESSION, 'compression', value)
  },
  idempotent: 'idempotent',
  max_in_flight: 'maxInFlightRequests',
  metadata_max_age_ms: 'metadataMaxAge',
  partitioner: (value, options) => {
    options.createPartitioner = choose(PARTITIONERS, 'partitioner', value)
  },
  retries: (value, options) => {
    options.retry = { ...options.retry, retries: value }
  },
  retry_backoff_ms: (value, options) => {
    options.retry = { ...options.retry, initialRetryTime: value }
  },
}

/** Where the partitioner put a message: kafkajs tells offsets of partitions, not of messages. */
const PLACED = Symbol('partition')

/** It leaves out messages for partitions that do not exist, and says nothing of them. */
const LOST = new DriverError('CLIENT', 'nothing was reported of this partition')

export class KafkajsProducer extends Producing {
  /** @param {{config: any}} command */
  static async open({ config }) {
    const { client, acks, compression, createPartitioner, ...options } = translate(config, WORDS)
    const partitioner = watched(createPartitioner ?? Partitioners.DefaultPartitioner)
    const producer = newKafka(client).producer({ ...options, createPartitioner: partitioner })
    await producer.connect()
    return new KafkajsProducer(producer, { acks, compression })
  }

  constructor(producer, sending) {
    super()
    this.producer = producer
    this.sending = sending
  }

  refusal({ headers }) {
    if (headers.some(([, bytes]) => bytes === null)) return unsupported('headers without a value')
    return headersAsObject(headers) ? undefined : unsupported('headers whose names alternate')
  }

  async deliver(records) {
    if (records.length === 0) return []
    const messages = records.map(record => ({ topic: record.topic, message: toMessage(record) }))
    const topicMessages = [...byTopic(messages)].map(([topic, ones]) => ({
      topic,
      messages: ones.map(one => one.message),
    }))
    let results
    try {
      results = await this.producer.sendBatch({ ...this.sending, topicMessages })
    } catch (error) {
      const explained = explain(error)
      return records.map(() => explained)
    }
    const placed = messages.map(({ topic, message }) => ({ topic, partition: message[PLACED] }))
    return countOffsets(placed, (topic, partition) => {
      const found = results.find(one => one.topicName === topic && one.partition === partition)
      if (!found) return { offset: -1 }
      const appended = Number(found.logAppendTime ?? -1)
      return { offset: Number(found.baseOffset), ...(appended >= 0 && { timestamp: appended }) }
    }).map(one => (one.offset < 0 && this.sending.acks !== 0 ? LOST : one))
  }

  async close() {
    await this.producer.disconnect()
    return {}
  }
}

function toMessage({ key, value, headers, partition, timestamp }) {
  return {
    key,
    value,
    partition,
    headers: headers.length > 0 ? headersAsObject(headers) : undefined,
    timestamp: timestamp === undefined ? undefined : String(timestamp),
  }
}

/** The same partitioner, whose choice is left with the message. */
function watched(createPartitioner) {
  return () => {
    const partitioner = createPartitioner()
    return context => {
      const partition = partitioner(context)
      context.message[PLACED] = partition
      return partition
    }
  }
}
