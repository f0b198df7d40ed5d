/** What the confluent driver's producer, consumer and admin have in common. */

import { createRequire } from 'node:module'
import { DriverError, brokerError } from '../errors.js'

/** The client's own interface, of which its promises are a part: it has all that librdkafka has. */
export const rdkafka = createRequire(import.meta.url)('@confluentinc/kafka-javascript')
const codes = rdkafka.CODES.ERRORS

/** How long a call that blocks may take. */
export const PATIENCE_MS = 60_000

/** librdkafka's names of the settings that every client has. */
export const CLIENT_WORDS = {
  bootstrap: 'bootstrap.servers',
  client_id: 'client.id',
  request_timeout_ms: 'socket.timeout.ms',
  metadata_max_age_ms: 'topic.metadata.refresh.interval.ms',
  rack: 'client.rack',
}

const LOCAL = {
  [codes.ERR__TIMED_OUT]: 'TIMEOUT',
  [codes.ERR__MSG_TIMED_OUT]: 'TIMEOUT',
  [codes.ERR__TIMED_OUT_QUEUE]: 'TIMEOUT',
  [codes.ERR__TRANSPORT]: 'DISCONNECTED',
  [codes.ERR__ALL_BROKERS_DOWN]: 'DISCONNECTED',
  [codes.ERR__RESOLVE]: 'DISCONNECTED',
  [codes.ERR__FENCED]: 'FENCED',
  [codes.ERR__FATAL]: 'FENCED',
  [codes.ERR__UNSUPPORTED_FEATURE]: 'UNSUPPORTED',
  [codes.ERR__NOT_IMPLEMENTED]: 'UNSUPPORTED',
}

/** Errors of librdkafka's own that stand for one of a broker's. */
const BROKERS = {
  [codes.ERR__UNKNOWN_TOPIC]: 3,
  [codes.ERR__UNKNOWN_PARTITION]: 3,
}
const OFFSET_OUT_OF_RANGE = 1

/** @returns {DriverError} */
export function explain(error) {
  const code = typeof error?.code === 'number' ? error.code : codes.ERR__FAIL
  const message = String(error?.message ?? error)
  const flags = { retriable: error?.isRetriable === true, fatal: error?.isFatal === true }
  if (code >= 0 || (code === -1 && error.origin === 'kafka')) {
    // Few errors come with a flag of librdkafka's; of the others Kafka's own is known.
    return brokerError(code, message, { fatal: flags.fatal })
  }
  if (BROKERS[code]) return brokerError(BROKERS[code], message)
  if (code === codes.ERR__AUTO_OFFSET_RESET && /offset out of range/i.test(message)) {
    return brokerError(OFFSET_OUT_OF_RANGE, message)
  }
  return new DriverError(LOCAL[code] ?? 'CLIENT', message, flags)
}

/**
 * A call with a callback at its end, as a promise.
 * @param {(callback: (error: any, result?: any) => void) => void} call
 * @returns {Promise<any>}
 */
export function promised(call) {
  return new Promise((resolve, reject) => {
    call((error, result) => (error ? reject(error) : resolve(result)))
  })
}
