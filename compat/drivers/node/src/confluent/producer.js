import { unsupported } from '../errors.js'
import { Producing } from '../producing.js'
import { choose, translate } from '../words.js'
import { CLIENT_WORDS, PATIENCE_MS, explain, promised, rdkafka } from './client.js'

const PARTITIONERS = {
  default: undefined,
  java: 'murmur2_random',
  murmur2: 'murmur2',
  librdkafka: 'consistent_random',
}

const WORDS = {
  ...CLIENT_WORDS,
  acks: 'acks',
  idempotent: 'enable.idempotence',
  compression: 'compression.codec',
  linger_ms: 'linger.ms',
  batch_bytes: 'batch.size',
  max_in_flight: 'max.in.flight',
  retries: 'retries',
  retry_backoff_ms: 'retry.backoff.ms',
  delivery_timeout_ms: 'delivery.timeout.ms',
  max_request_bytes: 'message.max.bytes',
  partitioner: (value, options) => {
    const partitioner = choose(PARTITIONERS, 'partitioner', value)
    if (partitioner) options.partitioner = partitioner
  },
}

export class ConfluentProducer extends Producing {
  /** Its queue holds 100,000 by default; it makes batches of what is there. */
  chunkRecords = 20_000
  chunkBytes = 64 * 1024 * 1024

  /** @param {{config: any}} command */
  static async open({ config }) {
    const producer = new rdkafka.Producer({ ...translate(config, WORDS), dr_cb: true })
    producer.on('event.error', error => console.error(`confluent producer: ${error.message}`))
    producer.on('delivery-report', (error, report) => report.opaque(error, report))
    await promised(callback => producer.connect({}, callback))
    producer.setPollInBackground(true)
    return new ConfluentProducer(producer)
  }

  constructor(producer) {
    super()
    this.producer = producer
  }

  refusal({ headers }) {
    return headers.some(([, bytes]) => bytes === null) ? unsupported('headers without a value') : undefined
  }

  deliver(records) {
    return Promise.all(records.map(record => this.#deliverOne(record)))
  }

  #deliverOne({ topic, partition = null, key, value, headers, timestamp }) {
    const named = headers.map(([name, bytes]) => ({ [name]: bytes }))
    const done = promised(callback => {
      this.producer.produce(topic, partition, value, key, timestamp, callback, named)
    })
    return done.then(
      report => ({ partition: report.partition, offset: report.offset >= 0 ? report.offset : -1 }),
      error => explain(error),
    )
  }

  async flush() {
    await promised(callback => this.producer.flush(PATIENCE_MS, callback))
    return {}
  }

  async close() {
    await promised(callback => this.producer.disconnect(callback))
    return {}
  }
}
