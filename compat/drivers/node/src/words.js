/** The protocol's words for bytes, partitions and settings. */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { badCommand, unsupported } from './errors.js'

/** @param {Uint8Array|string|null|undefined} bytes */
export function encode(bytes) {
  return bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString('base64')
}

/** @param {string|null|undefined} text */
export function decode(text) {
  return text === null || text === undefined ? null : Buffer.from(text, 'base64')
}

/** @param {string} topic @param {number} partition */
export const nameOf = (topic, partition) => `${topic}-${partition}`

/** @param {string} name such as "t-0" */
export function partitionOf(name) {
  const dash = name.lastIndexOf('-')
  const partition = Number(name.slice(dash + 1))
  if (dash < 1 || !Number.isInteger(partition)) throw badCommand(`no partition: ${name}`)
  return { topic: name.slice(0, dash), partition }
}

/**
 * Partitions, or whatever is of a topic, by their topics.
 * @param {any[]} partitions
 * @returns {Map<string, any[]>}
 */
export function byTopic(partitions) {
  const topics = new Map()
  for (const one of partitions) {
    if (!topics.has(one.topic)) topics.set(one.topic, [])
    topics.get(one.topic).push(one)
  }
  return topics
}

/**
 * The settings in the client's own words.
 * @param {{[name: string]: any}} config
 * @param {{[name: string]: string | ((value: any, options: any) => void)}} words for each setting
 *   that the client has its own name, or what sets it
 * @returns {any}
 */
export function translate(config, words) {
  const options = {}
  for (const [name, value] of Object.entries(config)) {
    const word = Object.hasOwn(words, name) ? words[name] : undefined
    if (word === undefined) throw unsupported(`setting ${name}`)
    if (typeof word === 'function') word(value, options)
    else options[word] = value
  }
  return options
}

/**
 * @template T
 * @param {{[word: string]: T}} choices
 * @param {string} what is chosen
 * @param {any} word
 * @returns {T}
 */
export function choose(choices, what, word) {
  if (!Object.hasOwn(choices, word)) throw unsupported(`${what} ${word}`)
  return choices[word]
}

/** Reads a version of an installed package from its package.json. */
export function versionOf(name) {
  let folder = createRequire(import.meta.url).resolve(name)
  for (;;) {
    folder = folder.slice(0, folder.lastIndexOf('/'))
    try {
      const found = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
      if (found.name === name) return found.version
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    }
  }
}

/** @param {number} ms */
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Of each name what `work` gives, or its error under `error`. */
export async function each(names, explain, work) {
  const entries = names.map(async name => {
    try {
      return [name, (await work(name)) ?? {}]
    } catch (error) {
      return [name, { error: explain(error) }]
    }
  })
  return Object.fromEntries(await Promise.all(entries))
}
