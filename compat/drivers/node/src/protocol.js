/**
 * The line protocol: commands from standard input to the methods of what their handles name,
 * results to standard output. `producer.send` on handle `p` is `send(command)` of the object that
 * `producer.open` made for `p`; commands of one handle are done one after another.
 */

import { createInterface } from 'node:readline'
import { DriverError, badCommand, unsupported } from './errors.js'

/**
 * @typedef {object} Client what a driver is made of
 * @property {object} hello
 * @property {{[kind: string]: (command: any) => Promise<object>|object}} kinds makes what a handle names
 * @property {(error: any) => DriverError} explain
 */

/** The fields that a command must have, beside `handle`; those with `?` may be absent or null. */
const OPS = {
  'producer.open': { config: 'object' },
  'producer.send': { records: 'records', 'each?': 'boolean' },
  'producer.fill': {
    topic: 'string', count: 'number', size: 'number', prefix: 'string', 'partition?': 'number', 'keys?': 'number',
  },
  'producer.flush': {},
  'producer.close': {},
  'consumer.open': { config: 'object', 'topics?': 'array', 'pattern?': 'string', 'assign?': 'array' },
  'consumer.take': { count: 'number', timeout_ms: 'number' },
  'consumer.drain': { count: 'number', timeout_ms: 'number' },
  'consumer.events': { 'wait_for?': 'string', 'timeout_ms?': 'number' },
  'consumer.commit': { 'offsets?': 'object' },
  'consumer.committed': { partitions: 'array' },
  'consumer.position': { partitions: 'array' },
  'consumer.seek': { partition: 'object', offset: 'any' },
  'consumer.pause': { partitions: 'array' },
  'consumer.resume': { partitions: 'array' },
  'consumer.offsets': { partitions: 'array', at: 'any' },
  'consumer.close': {},
  'admin.open': { config: 'object' },
  'admin.create_topics': { topics: 'array', 'validate_only?': 'boolean' },
  'admin.delete_topics': { topics: 'array' },
  'admin.create_partitions': { topic: 'string', count: 'number', 'assignments?': 'array' },
  'admin.list_topics': {},
  'admin.describe_topics': { topics: 'array' },
  'admin.describe_cluster': {},
  'admin.describe_configs': { type: 'string', name: 'string' },
  'admin.alter_configs': { type: 'string', name: 'string', 'set?': 'object', 'unset?': 'array' },
  'admin.list_groups': { 'states?': 'array' },
  'admin.describe_groups': { groups: 'array' },
  'admin.delete_groups': { groups: 'array' },
  'admin.group_offsets': { group: 'string', 'partitions?': 'array' },
  'admin.alter_group_offsets': { group: 'string', offsets: 'object' },
  'admin.delete_group_offsets': { group: 'string', partitions: 'array' },
  'admin.list_offsets': { partitions: 'array', at: 'any', 'isolation?': 'string' },
  'admin.delete_records': { offsets: 'object' },
  'admin.elect_leaders': { type: 'string', partitions: 'array' },
  'admin.close': {},
}

const IS_A = {
  string: value => typeof value === 'string',
  number: value => typeof value === 'number',
  boolean: value => typeof value === 'boolean',
  object: value => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: value => Array.isArray(value),
  records: value => Array.isArray(value) && value.every(record => typeof record?.topic === 'string'),
  any: value => value !== undefined && value !== null,
}

/** @param {any} command */
function validate(command) {
  for (const [field, type] of Object.entries(OPS[command.op])) {
    const name = field.replace('?', '')
    const value = command[name]
    if (name !== field && (value === undefined || value === null)) continue
    if (!IS_A[type](value)) throw badCommand(`${command.op}: ${name} is no ${type}`)
  }
}

/** The admin commands that an object of this class has, as capabilities. */
export function adminCapabilities(admin) {
  const ops = Object.keys(OPS).filter(op => op.startsWith('admin.'))
  const offered = ops.filter(op => typeof admin.prototype[op.slice('admin.'.length)] === 'function')
  return offered.filter(op => op !== 'admin.close')
}

class Server {
  /** @param {Client} client */
  constructor(client) {
    this.client = client
    /** @type {Map<string, {kind: string, last: Promise<any>, object: any}>} */
    this.handles = new Map()
  }

  /** @param {string} line */
  async take(line) {
    let command
    try {
      command = JSON.parse(line)
    } catch (error) {
      return this.fail(null, badCommand(String(error)))
    }
    try {
      write({ id: command.id, ok: true, result: await this.perform(command) })
    } catch (error) {
      this.fail(command.id, this.explain(error))
    }
  }

  explain(error) {
    if (error instanceof DriverError) return error
    const explained = this.client.explain(error)
    if (explained.code === 'CLIENT') console.error(error)
    return explained
  }

  fail(id, error) {
    write({ id, ok: false, error })
  }

  perform(command) {
    if (!Object.hasOwn(OPS, command.op)) throw badCommand(`no op ${command.op}`)
    if (typeof command.handle !== 'string') throw badCommand('no handle')
    const [kind, method] = command.op.split('.')
    if (method === 'open') return this.open(kind, command)
    const handle = this.handles.get(command.handle)
    if (handle?.kind !== kind) throw badCommand(`no ${kind} ${command.handle}`)
    return this.inOrder(handle, () => {
      if (this.handles.get(command.handle) !== handle) throw badCommand(`${command.handle} is closed`)
      if (typeof handle.object[method] !== 'function') throw unsupported(command.op)
      validate(command)
      if (method === 'close') this.handles.delete(command.handle)
      return handle.object[method](command)
    })
  }

  open(kind, command) {
    validate(command)
    const name = command.handle
    if (this.handles.has(name)) throw badCommand(`handle ${name} is open`)
    const handle = { kind, last: Promise.resolve(), object: null }
    this.handles.set(name, handle)
    return this.inOrder(handle, async () => {
      try {
        handle.object = await this.client.kinds[kind](command)
        return {}
      } catch (error) {
        this.handles.delete(name)
        throw error
      }
    })
  }

  inOrder(handle, work) {
    const done = handle.last.then(work)
    handle.last = done.catch(() => {})
    return done
  }
}

/** @param {any} message */
function write(message) {
  process.stdout.write(JSON.stringify(message) + '\n')
}

/**
 * Says hello, and does commands until standard input ends; then the process ends at once.
 * @param {Client} client
 */
export function serve(client) {
  // Standard output is for results; what a client prints goes to a person.
  console.log = console.info = console.debug = console.error
  // Some clients leave promises of their background work without anybody to hear them fail.
  process.on('unhandledRejection', reason => console.error('unhandled rejection:', reason))
  const server = new Server(client)
  const lines = createInterface({ input: process.stdin })
  lines.on('line', line => server.take(line))
  lines.on('close', () => process.exit(0))
  write({ hello: client.hello })
}
