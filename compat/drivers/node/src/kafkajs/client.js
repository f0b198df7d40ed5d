/** What kafkajs' producer, consumer and admin have in common: its options, errors and codecs. */

import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'
import { DriverError, brokerError } from '../errors.js'

export const { Kafka, AssignerProtocol, ConfigResourceTypes, PartitionAssigners, Partitioners } = kafkajs
const { CompressionCodecs, CompressionTypes, logLevel } = kafkajs
const require = createRequire(import.meta.url)

/** The codecs that kafkajs' documentation names, of which it has gzip itself. */
const CODECS = {
  snappy: () => {
    CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
  },
  lz4: () => {
    CompressionCodecs[CompressionTypes.LZ4] = new (require('kafkajs-lz4'))().codec
  },
  zstd: () => {
    CompressionCodecs[CompressionTypes.ZSTD] = require('@kafkajs/zstd')()
  },
}

/** The compression types that can be had here; some codecs need an addon that may not be built. */
export function compressionTypes() {
  const types = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }
  const numbers = { snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }
  for (const [name, install] of Object.entries(CODECS)) {
    try {
      install()
      types[name] = numbers[name]
    } catch (error) {
      console.error(`kafkajs without ${name}: ${error.message}`)
    }
  }
  return types
}

/** The settings that every kafkajs client has. They go to `client`, not to the producer's options. */
export const CLIENT_WORDS = {
  bootstrap: (value, options) => inClient(options, { brokers: value.split(',') }),
  client_id: (value, options) => inClient(options, { clientId: value }),
  request_timeout_ms: (value, options) => inClient(options, { requestTimeout: value }),
}

function inClient(options, more) {
  options.client = { ...options.client, ...more }
}

/** @returns {import('kafkajs').Kafka} */
export function newKafka(client) {
  return new Kafka({ logLevel: logLevel.WARN, ...client, logCreator: () => log })
}

function log({ namespace, log: { message, timestamp: _, logger: __, ...more } }) {
  console.error(`kafkajs ${namespace}: ${message}`, JSON.stringify(more))
}

const CODES = {
  KafkaJSRequestTimeoutError: 'TIMEOUT',
  KafkaJSTimeout: 'TIMEOUT',
  KafkaJSLockTimeout: 'TIMEOUT',
  KafkaJSConnectionError: 'DISCONNECTED',
  KafkaJSConnectionClosedError: 'DISCONNECTED',
  KafkaJSNoBrokerAvailableError: 'DISCONNECTED',
  KafkaJSBrokerNotFound: 'DISCONNECTED',
  KafkaJSNotImplemented: 'UNSUPPORTED',
}

/** @returns {DriverError} */
export function explain(error) {
  const causes = []
  for (let cause = error; cause && !causes.includes(cause); cause = cause.cause ?? cause.errors?.[0]) {
    causes.push(cause)
  }
  const broker = causes.find(cause => typeof cause.code === 'number' && typeof cause.type === 'string')
  // Errors that are younger than kafkajs have their number in the message alone.
  const unnamed = /^Unknown error code (\d+)$/.exec(broker?.message ?? '')
  if (broker) return brokerError(unnamed ? Number(unnamed[1]) : broker.code, error.message)
  const local = causes.find(cause => CODES[cause.name])
  const code = local ? CODES[local.name] : 'CLIENT'
  return new DriverError(code, String(error?.message ?? error), { retriable: error?.retriable === true })
}
