/** The driver of kafkajs. */

import { adminCapabilities, serve } from '../protocol.js'
import { versionOf } from '../words.js'
import { KafkajsAdmin } from './admin.js'
import { explain } from './client.js'
import { KafkajsConsumer } from './consumer.js'
import { CODECS, KafkajsProducer } from './producer.js'

serve({
  hello: {
    client: 'kafkajs',
    version: versionOf('kafkajs'),
    language: 'javascript',
    partitioner: 'java',
    capabilities: [
      'produce', 'consume', 'groups', 'headers', 'timestamps', 'idempotent', 'acks0', 'roundrobin',
      'auto_commit', 'manual_commit', 'offsets_for_times', 'pause', 'isolation', 'partitioner_java',
      'partitions_explicit', 'events', ...CODECS, ...adminCapabilities(KafkajsAdmin),
    ],
  },
  kinds: { producer: KafkajsProducer.open, consumer: KafkajsConsumer.open, admin: KafkajsAdmin.open },
  explain,
})
