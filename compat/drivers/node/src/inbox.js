/** Records between a client's background poll and `take`. */

import { encode, nameOf } from './words.js'

/** Records that wait to be taken before a consumer stops polling. */
const MOST_HELD = 10_000
/** What a timer of Node can hold. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * @typedef {object} Incoming a record as it goes on the line, with its bytes encoded
 * @property {string} topic
 * @property {number} partition
 * @property {number} offset
 */

export class Inbox {
  /** @type {Incoming[]} */
  records = []
  /** The next offset to take, by partition. @type {Map<string, number>} */
  taken = new Map()
  #waiting = new Set()

  get isFull() {
    return this.records.length >= MOST_HELD
  }

  push(record) {
    this.records.push(record)
    this.#wake()
  }

  /** @param {number} count */
  grab(count) {
    const grabbed = this.records.splice(0, count)
    for (const { topic, partition, offset } of grabbed) {
      this.taken.set(nameOf(topic, partition), offset + 1)
    }
    this.#wake()
    return grabbed
  }

  /** Of a seek or a revocation: neither given to `take` any more nor committed. */
  drop(name) {
    this.records = this.records.filter(record => nameOf(record.topic, record.partition) !== name)
    this.taken.delete(name)
    this.#wake()
  }

  /** The first of a partition that waits, if any does. */
  first(name) {
    return this.records.find(record => nameOf(record.topic, record.partition) === name)
  }

  /**
   * Until it holds, or the time is over; looked at whenever the records change.
   * @param {() => boolean} holds
   * @param {number} timeoutMs
   */
  async until(holds, timeoutMs) {
    const deadline = performance.now() + timeoutMs
    while (!holds()) {
      const left = deadline - performance.now()
      if (left <= 0) return
      await this.changed(left)
    }
  }

  /** @param {number} timeoutMs */
  changed(timeoutMs) {
    return new Promise(resolve => {
      const wake = () => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve(undefined)
      }
      const timer = setTimeout(wake, Math.min(timeoutMs, LONGEST_MS))
      this.#waiting.add(wake)
    })
  }

  #wake() {
    for (const wake of [...this.#waiting]) wake()
  }

  async take(count, timeoutMs) {
    const records = []
    const deadline = performance.now() + timeoutMs
    while (records.length < count) {
      const wanted = Math.min(count - records.length, MOST_HELD)
      await this.until(() => this.records.length >= wanted, deadline - performance.now())
      records.push(...this.grab(wanted))
      if (performance.now() >= deadline) break
    }
    return records
  }

  async drain(count, timeoutMs) {
    const began = performance.now()
    const summary = { count: 0, bytes: 0, partitions: {}, in_order: true }
    while (summary.count < count) {
      await this.until(() => this.records.length > 0, timeoutMs - (performance.now() - began))
      if (this.records.length === 0) break
      for (const record of this.grab(count - summary.count)) addTo(summary, record)
    }
    return { ...summary, elapsed_ms: performance.now() - began }
  }
}

function addTo(summary, record) {
  const name = nameOf(record.topic, record.partition)
  const { offset } = record
  const seen = (summary.partitions[name] ??= { first: offset, last: -1, count: 0 })
  summary.in_order &&= offset > seen.last
  seen.last = offset
  seen.count += 1
  summary.count += 1
  if (record.value !== null) summary.bytes += Buffer.byteLength(record.value, 'base64')
}

/**
 * A record as the line has it.
 * @param {{topic: string, partition: number, offset: number, key: any, value: any,
 *   headers: any[][], timestamp: number}} record with bytes as the client gives them
 * @returns {Incoming & {[field: string]: any}}
 */
export function toLine({ key, value, headers, ...rest }) {
  return {
    ...rest,
    key: encode(key),
    value: encode(value),
    headers: headers.map(([name, bytes]) => [String(name), encode(bytes)]),
  }
}
