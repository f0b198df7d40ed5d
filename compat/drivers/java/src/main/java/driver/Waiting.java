package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/** A command of a consumer that is done when enough has come, or its time is up. */
abstract class Waiting {
    final Command command;
    private final long begin = System.nanoTime();
    private final long timeout;

    private Waiting(Command command) {
        this.command = command;
        this.timeout = command.fields.number("timeout_ms");
    }

    final long elapsed() {
        return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin);
    }

    /** Milliseconds, 0 when its time is up. */
    final long remaining() {
        return Math.max(0, timeout - elapsed());
    }

    /** Whether records are awaited, however many. */
    boolean wantsRecords() {
        return true;
    }

    /** Looks at what has come. */
    abstract boolean isDone();

    abstract JsonObject result();

    static Waiting take(Command command, Fetched fetched) {
        long count = command.fields.number("count");
        return new Waiting(command) {
            @Override
            boolean isDone() {
                return fetched.count() >= count;
            }

            @Override
            JsonObject result() {
                JsonArray records = new JsonArray();
                while (records.size() < count && fetched.count() > 0) {
                    records.add(Json.record(fetched.take()));
                }
                return Json.object("records", records);
            }
        };
    }

    static Waiting events(Command command, Events events, ConsumerHandle consumer) {
        String event = command.fields.text("wait_for", null);
        return new Waiting(command) {
            @Override
            boolean wantsRecords() {
                return false;
            }

            @Override
            boolean isDone() {
                return event == null || events.has(event);
            }

            @Override
            JsonObject result() {
                return Json.object("events", events.take(), "assignment", consumer.assignment());
            }
        };
    }

    static Waiting drain(Command command, Fetched fetched) {
        return new Drain(command, fetched);
    }

    private static final class Drain extends Waiting {
        private final Fetched fetched;
        private final long wanted;
        /** First offset, last offset, count. */
        private final Map<TopicPartition, long[]> seen = new HashMap<>();
        private long count;
        private long bytes;
        private boolean isInOrder = true;

        Drain(Command command, Fetched fetched) {
            super(command);
            this.fetched = fetched;
            this.wanted = command.fields.number("count");
        }

        @Override
        boolean isDone() {
            while (count < wanted && fetched.count() > 0) {
                note(fetched.take());
            }
            return count >= wanted;
        }

        private void note(ConsumerRecord<byte[], byte[]> record) {
            count++;
            bytes += Math.max(0, record.serializedValueSize());
            long offset = record.offset();
            long[] range = seen.get(Fetched.partition(record));
            if (range == null) {
                seen.put(Fetched.partition(record), new long[] {offset, offset, 1});
            } else {
                isInOrder &= offset > range[1];
                range[1] = offset;
                range[2]++;
            }
        }

        @Override
        JsonObject result() {
            JsonObject partitions = new JsonObject();
            Map<String, long[]> byName = new TreeMap<>();
            seen.forEach((partition, range) -> byName.put(Json.name(partition), range));
            byName.forEach(
                    (name, range) ->
                            partitions.add(
                                    name,
                                    Json.object(
                                            "first", range[0],
                                            "last", range[1],
                                            "count", range[2])));
            return Json.object(
                    "count", count,
                    "bytes", bytes,
                    "elapsed_ms", elapsed(),
                    "partitions", partitions,
                    "in_order", isInOrder);
        }
    }
}
