/** The driver of @platformatic/kafka. */

import { adminCapabilities, serve } from '../protocol.js'
import { versionOf } from '../words.js'
import { PlatformaticAdmin } from './admin.js'
import { codecs, explain } from './client.js'
import { openConsumer } from './consumer.js'
import { PlatformaticProducer } from './producer.js'

serve({
  hello: {
    client: 'platformatic',
    version: versionOf('@platformatic/kafka'),
    language: 'javascript',
    partitioner: 'murmur2, unsigned',
    capabilities: [
      'produce', 'consume', 'groups', 'headers', 'timestamps', 'idempotent', 'acks0', 'static_membership',
      'roundrobin', 'auto_commit', 'auto_commit_interval', 'manual_commit', 'offsets_for_times', 'reset_none', 'isolation',
      'partitioner_java', 'partitions_explicit', 'events', 'generation', ...codecs(),
      ...adminCapabilities(PlatformaticAdmin),
    ],
  },
  kinds: { producer: PlatformaticProducer.open, consumer: openConsumer, admin: PlatformaticAdmin.open },
  explain,
})
