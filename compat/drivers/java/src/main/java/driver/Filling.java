package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;

/** {@code producer.fill}: many records of which only the sums are told. */
final class Filling {
    private final String topic;
    private final int count;
    private final int size;
    private final String prefix;
    private final Integer partition;
    private final Integer keys;

    private long acked;
    private long failed;
    private final Map<String, Long> errors = new TreeMap<>();
    private final Map<Integer, long[]> offsets = new TreeMap<>();

    Filling(Fields fields) {
        topic = fields.text("topic");
        count = fields.integer("count");
        size = fields.integer("size");
        prefix = fields.text("prefix");
        partition = fields.integerOrNull("partition");
        keys = fields.integerOrNull("keys");
        if (keys != null && keys < 1) {
            throw Refusal.badCommand("keys is less than 1");
        }
    }

    JsonObject run(KafkaProducer<byte[], byte[]> producer) throws InterruptedException {
        long begin = System.nanoTime();
        for (int i = 0; i < count; i++) {
            try {
                producer.send(new ProducerRecord<>(topic, partition, key(i), value(i)), this::note);
            } catch (RuntimeException error) {
                note(null, error);
            }
        }
        waitForAll();
        return result(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin));
    }

    private byte[] key(int number) {
        return keys == null ? null : ("k" + number % keys).getBytes(StandardCharsets.UTF_8);
    }

    private byte[] value(int number) {
        byte[] words = (prefix + "-" + number).getBytes(StandardCharsets.UTF_8);
        byte[] value = Arrays.copyOf(words, Math.max(size, words.length));
        Arrays.fill(value, words.length, value.length, (byte) '.');
        return value;
    }

    private synchronized void note(RecordMetadata metadata, Exception error) {
        if (error != null) {
            failed++;
            errors.merge(ErrorReport.of(error).code, 1L, Long::sum);
        } else {
            acked++;
            long offset = metadata.hasOffset() ? metadata.offset() : -1;
            long[] range =
                    offsets.computeIfAbsent(
                            metadata.partition(), any -> new long[] {offset, offset});
            range[0] = Math.min(range[0], offset);
            range[1] = Math.max(range[1], offset);
        }
        notifyAll();
    }

    private synchronized void waitForAll() throws InterruptedException {
        while (acked + failed < count) {
            wait();
        }
    }

    private synchronized JsonObject result(long elapsed) {
        JsonObject counts = new JsonObject();
        errors.forEach(counts::addProperty);
        JsonObject ranges = new JsonObject();
        offsets.forEach(
                (at, range) -> {
                    JsonArray both = new JsonArray();
                    both.add(range[0]);
                    both.add(range[1]);
                    ranges.add(at.toString(), both);
                });
        return Json.object(
                "acked", acked,
                "failed", failed,
                "errors", counts,
                "offsets", ranges,
                "elapsed_ms", elapsed);
    }
}
