/** What the platformatic driver's producer, consumer and admin have in common. */

import { compressionsAlgorithms } from '@platformatic/kafka'
import { DriverError, brokerError } from '../errors.js'
import { translate } from '../words.js'

/** Settings that every client of it has. */
export const CLIENT_WORDS = {
  bootstrap: (value, options) => {
    options.bootstrapBrokers = value.split(',')
  },
  client_id: 'clientId',
  request_timeout_ms: 'timeout',
  metadata_max_age_ms: 'metadataMaxAge',
  retries: 'retries',
  retry_backoff_ms: 'retryDelay',
}

/** @returns {any} options, with the client id that it demands */
export function optionsOf(config, words) {
  return { clientId: 'compat', ...translate(config, words) }
}

/** "probe" in snappy, in the framing of Kafka's Java library, which most clients and brokers write. */
const FRAMED = Buffer.from('82534e4150505900' + '00000001' + '00000001' + '00000007' + '051070726f6265', 'hex')

/** What each codec must do to be one: zstd is Node's own, from 22.15 on. */
const PROBES = {
  gzip: codec => codec.compressSync(Buffer.from('probe')),
  snappy: codec => codec.decompressSync(FRAMED),
  lz4: codec => codec.compressSync(Buffer.from('probe')),
  zstd: codec => codec.compressSync(Buffer.from('probe')),
}

/** The codecs it has here. */
export function codecs() {
  return Object.keys(PROBES).filter(codec => {
    try {
      PROBES[codec](compressionsAlgorithms[codec])
      return true
    } catch (error) {
      console.error(`platformatic without ${codec}: ${error.message}`)
      return false
    }
  })
}

const CODES = {
  PLT_KFK_TIMEOUT: 'TIMEOUT',
  PLT_KFK_NETWORK: 'DISCONNECTED',
  PLT_KFK_UNSUPPORTED: 'UNSUPPORTED',
  PLT_KFK_UNSUPPORTED_API: 'UNSUPPORTED',
  PLT_KFK_UNSUPPORTED_COMPRESSION: 'UNSUPPORTED',
}

const UNKNOWN_TOPIC_OR_PARTITION = 3

/** An error and all that it holds, the latest attempt first. */
function* nested(error) {
  if (!error) return
  yield error
  for (const inner of [...(error.errors ?? [])].reverse()) yield* nested(inner)
  yield* nested(error.cause)
}

/** @returns {DriverError} */
export function explain(error) {
  const all = [...nested(error)]
  const broker = all.find(one => typeof one.apiCode === 'number')
  if (broker) {
    const text = broker.serverErrorMessage ? `${broker.message}: ${broker.serverErrorMessage}` : broker.message
    return brokerError(broker.apiCode, text)
  }
  // It keeps to itself that this is what brokers answered.
  const unknown = all.find(one => /^Unknown (topic|partition) /.test(one.message))
  if (unknown) return brokerError(UNKNOWN_TOPIC_OR_PARTITION, unknown.message)
  const local = all.find(one => CODES[one.code]) ?? error
  return new DriverError(CODES[local?.code] ?? 'CLIENT', String(local?.message ?? local), {
    retriable: local?.canRetry === true,
  })
}
