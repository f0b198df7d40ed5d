/** What the consumer commands mean that are the same with every client. */

import { Inbox } from './inbox.js'
import { nameOf, partitionOf } from './words.js'

export class Consuming {
  inbox = new Inbox()
  /** @type {object[]} */
  happened = []
  /** @type {string|null} an error that is reported until something succeeds */
  standing = null

  /** @param {boolean} autoCommit whether the client commits what its poll returned */
  constructor(autoCommit) {
    this.autoCommit = autoCommit
  }

  /** @returns {{topic: string, partition: number}[]} */
  assignment() {
    return []
  }

  async take({ count, timeout_ms }) {
    return { records: await this.inbox.take(count, timeout_ms) }
  }

  drain({ count, timeout_ms }) {
    return this.inbox.drain(count, timeout_ms)
  }

  async events({ wait_for = null, timeout_ms = 0 }) {
    const deadline = performance.now() + timeout_ms
    const awaited = () => this.happened.some(event => event['event'] === wait_for)
    while (wait_for !== null && !awaited() && performance.now() < deadline) {
      await new Promise(resolve => {
        const timer = setTimeout(resolve, deadline - performance.now())
        this.noted = () => {
          clearTimeout(timer)
          resolve(undefined)
        }
      })
    }
    const events = this.happened
    this.happened = []
    return { events, assignment: this.assignment() }
  }

  /** @type {() => void} */
  noted = () => {}

  note(event) {
    this.happened.push(event)
    this.noted()
  }

  /** @param {object} [more] generation and member id, where the client tells them */
  assigned(partitions, more = {}) {
    this.standing = null
    this.note({ event: 'assigned', partitions: partitions.map(bare), ...more })
  }

  /** @param {'revoked'|'lost'} event */
  revoked(partitions, event = 'revoked', more = {}) {
    if (!this.autoCommit) {
      for (const { topic, partition } of partitions) this.inbox.drop(nameOf(topic, partition))
    }
    this.note({ event, partitions: partitions.map(bare), ...more })
  }

  /** @param {import('./errors.js').DriverError} error */
  failed(error) {
    const said = `${error.code} ${error.message}`
    if (this.standing === said) return
    this.standing = said
    this.note({ event: 'error', error })
  }

  received(record) {
    this.standing = null
    this.inbox.push(record)
  }

  /** What `commit` is to commit: the offsets named, or all that was taken. */
  toCommit(offsets) {
    if (offsets === null || offsets === undefined) {
      return [...this.inbox.taken].map(([name, offset]) => ({ ...partitionOf(name), offset }))
    }
    return Object.entries(offsets).map(([name, at]) => ({ ...partitionOf(name), ...at }))
  }

  /**
   * Where the client's own position is, by name of partition.
   * @param {{topic: string, partition: number}[]} partitions
   * @returns {Promise<{[name: string]: number|null}>}
   */
  async positions(partitions) {
    throw new Error(`no positions of ${partitions.length}`)
  }

  /** The next offset that `take` gives: the client's own position is behind what waits here. */
  async positionsOf(partitions) {
    const positions = await this.positions(partitions)
    for (const { topic, partition } of partitions) {
      const name = nameOf(topic, partition)
      const waiting = this.inbox.first(name)
      if (waiting) positions[name] = waiting.offset
    }
    return { offsets: positions }
  }
}

const bare = ({ topic, partition }) => ({ topic, partition })
