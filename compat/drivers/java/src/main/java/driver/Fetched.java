package driver;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Records that a poll returned and nobody took yet, and how far the taken ones reach. */
final class Fetched {
    private static final int MOST_RECORDS = 10_000;
    private static final long MOST_BYTES = 64L << 20;

    private final Deque<ConsumerRecord<byte[], byte[]>> waiting = new ArrayDeque<>();
    private final Map<TopicPartition, OffsetAndMetadata> taken = new HashMap<>();
    private long bytes;

    void add(ConsumerRecords<byte[], byte[]> records) {
        for (ConsumerRecord<byte[], byte[]> each : records) {
            waiting.add(each);
            bytes += size(each);
        }
    }

    int count() {
        return waiting.size();
    }

    boolean isFull() {
        return waiting.size() >= MOST_RECORDS || bytes >= MOST_BYTES;
    }

    /** The next record, or null. */
    ConsumerRecord<byte[], byte[]> take() {
        ConsumerRecord<byte[], byte[]> record = waiting.poll();
        if (record != null) {
            bytes -= size(record);
            taken.put(partition(record), after(record));
        }
        return record;
    }

    /** What {@code commit} without offsets commits. */
    Map<TopicPartition, OffsetAndMetadata> taken() {
        return new HashMap<>(taken);
    }

    Optional<Long> nextOffset(TopicPartition of) {
        return waiting.stream()
                .filter(record -> partition(record).equals(of))
                .map(ConsumerRecord::offset)
                .findFirst();
    }

    void drop(Collection<TopicPartition> partitions) {
        Iterator<ConsumerRecord<byte[], byte[]>> each = waiting.iterator();
        while (each.hasNext()) {
            ConsumerRecord<byte[], byte[]> record = each.next();
            if (partitions.contains(partition(record))) {
                each.remove();
                bytes -= size(record);
            }
        }
        forgetTaken(partitions);
    }

    void forgetTaken(Collection<TopicPartition> partitions) {
        taken.keySet().removeAll(partitions);
    }

    static TopicPartition partition(ConsumerRecord<byte[], byte[]> record) {
        return new TopicPartition(record.topic(), record.partition());
    }

    private static int size(ConsumerRecord<byte[], byte[]> record) {
        return Math.max(0, record.serializedKeySize()) + Math.max(0, record.serializedValueSize());
    }

    private static OffsetAndMetadata after(ConsumerRecord<byte[], byte[]> record) {
        return new OffsetAndMetadata(record.offset() + 1, record.leaderEpoch(), "");
    }
}
