/** The driver of @confluentinc/kafka-javascript, which is librdkafka in Node. */

import { adminCapabilities, serve } from '../protocol.js'
import { versionOf } from '../words.js'
import { ConfluentAdmin } from './admin.js'
import { explain, rdkafka } from './client.js'
import { ConfluentConsumer } from './consumer.js'
import { ConfluentProducer } from './producer.js'

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'].filter(codec => rdkafka.features.includes(codec))

serve({
  hello: {
    client: 'confluent-javascript',
    version: versionOf('@confluentinc/kafka-javascript'),
    language: 'javascript',
    partitioner: 'librdkafka',
    capabilities: [
      'produce', 'consume', 'groups', 'headers', 'timestamps', 'idempotent', 'acks0', 'regex',
      'static_membership', 'cooperative', 'range', 'roundrobin', 'auto_commit', 'auto_commit_interval', 'manual_commit',
      'offsets_for_times', 'pause', 'reset_none', 'isolation', 'partitioner_java',
      'partitioner_librdkafka', 'partitions_explicit', 'events', ...CODECS,
      ...adminCapabilities(ConfluentAdmin),
    ],
  },
  kinds: { producer: ConfluentProducer.open, consumer: ConfluentConsumer.open, admin: ConfluentAdmin.open },
  explain,
})
