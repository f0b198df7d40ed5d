/** What `producer.send` and `producer.fill` mean, over a client's own way of sending. */

import { DriverError, badCommand } from './errors.js'
import { decode } from './words.js'

/**
 * @typedef {object} Outgoing a record to send
 * @property {string} topic
 * @property {number} [partition] absent: the client's partitioner chooses
 * @property {Buffer|null} key
 * @property {Buffer|null} value
 * @property {[string, Buffer|null][]} headers
 * @property {number} [timestamp] milliseconds since the epoch
 */

/** @typedef {{partition: number, offset: number, timestamp?: number}} Sent */

export class Producing {
  /** How many records of `fill` are handed to the client at once, and how many bytes at most. */
  chunkRecords = 1000
  chunkBytes = 500_000

  /**
   * Sends records in their order. What fails stands in its place; nothing is thrown.
   * @param {Outgoing[]} records
   * @returns {Promise<(Sent|DriverError)[]>}
   */
  async deliver(records) {
    throw new Error(`cannot deliver ${records.length}`)
  }

  /**
   * Why the client has no way to send a record, if so.
   * @param {Outgoing} _record
   * @returns {DriverError|undefined}
   */
  refusal(_record) {
    return undefined
  }

  /**
   * The same for `fill`, which does not ask which record an outcome is of.
   * @param {Outgoing[]} records
   */
  deliverMany(records) {
    return this.deliver(records)
  }

  async send({ records, each = false }) {
    const outgoing = records.map(fromLine)
    const outcomes = []
    if (each) for (const record of outgoing) outcomes.push(...(await this.#deliverable([record])))
    else outcomes.push(...(await this.#deliverable(outgoing)))
    return { sent: outcomes.map(one => (one instanceof DriverError ? { error: one } : one)) }
  }

  /** Delivers what the client can say; what it cannot stands in its place as well. */
  async #deliverable(records) {
    const refusals = records.map(record => this.refusal(record))
    const outcomes = await this.deliver(records.filter((_, i) => !refusals[i]))
    return refusals.map(refusal => refusal ?? /** @type {any} */ (outcomes.shift()))
  }

  async fill({ topic, count, size, prefix, partition, keys }) {
    const began = performance.now()
    const tally = { acked: 0, failed: 0, errors: {}, offsets: {} }
    const chunk = Math.max(1, Math.min(this.chunkRecords, Math.floor(this.chunkBytes / size)))
    for (let first = 0; first < count; first += chunk) {
      const numbers = Array.from({ length: Math.min(chunk, count - first) }, (_, i) => first + i)
      const records = numbers.map(number => ({
        topic,
        partition: partition ?? undefined,
        key: keys ? Buffer.from(`k${number % keys}`) : null,
        value: Buffer.from(`${prefix}-${number}`.padEnd(size, '.')),
        headers: [],
      }))
      for (const outcome of await this.deliverMany(records)) countIn(tally, outcome)
    }
    return { ...tally, elapsed_ms: performance.now() - began }
  }

  /** Nothing waits in a client whose send ends when it is answered. */
  async flush() {
    return {}
  }
}

function countIn(tally, outcome) {
  if (outcome instanceof DriverError) {
    tally.failed += 1
    tally.errors[outcome.code] = (tally.errors[outcome.code] ?? 0) + 1
    return
  }
  tally.acked += 1
  const { partition, offset } = outcome
  const [first, last] = tally.offsets[partition] ?? [offset, offset]
  tally.offsets[partition] = [Math.min(first, offset), Math.max(last, offset)]
}

/** @returns {Outgoing} */
function fromLine(record) {
  const headers = record.headers ?? []
  if (!Array.isArray(headers) || headers.some(header => !Array.isArray(header))) {
    throw badCommand('headers are a list of pairs')
  }
  return {
    topic: record.topic,
    partition: record.partition ?? undefined,
    key: decode(record.key),
    value: decode(record.value),
    headers: headers.map(([name, value]) => [name, decode(value)]),
    timestamp: record.timestamp ?? undefined,
  }
}

/**
 * Headers as an object, for clients that keep them so; undefined where their order would be lost.
 * @param {[string, Buffer|null][]} headers
 * @returns {{[name: string]: any} | undefined}
 */
export function headersAsObject(headers) {
  /** @type {Map<string, any[]>} */
  const grouped = new Map()
  let previous
  for (const [name, value] of headers) {
    if (grouped.has(name) && name !== previous) return undefined
    grouped.set(name, [...(grouped.get(name) ?? []), value])
    previous = name
  }
  const entries = [...grouped].map(([name, values]) => [name, values.length > 1 ? values : values[0]])
  return Object.fromEntries(entries)
}

/**
 * The offset of each record of batches, from the first offset in each partition: a batch's records
 * have consecutive offsets.
 * @param {{topic: string, partition: number}[]} placed in the order in which they were sent
 * @param {(topic: string, partition: number) => {offset: number, timestamp?: number}} base
 * @returns {Sent[]}
 */
export function countOffsets(placed, base) {
  const counts = new Map()
  return placed.map(({ topic, partition }) => {
    const name = `${topic}-${partition}`
    const before = counts.get(name) ?? 0
    counts.set(name, before + 1)
    const { offset, ...more } = base(topic, partition)
    return { partition, offset: offset < 0 ? -1 : offset + before, ...more }
  })
}
