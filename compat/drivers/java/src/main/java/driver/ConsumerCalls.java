package driver;

import com.google.gson.JsonObject;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.common.TopicPartition;

/** The commands of a consumer that are one call of the client. */
final class ConsumerCalls {
    private final Consumer<byte[], byte[]> consumer;
    private final Fetched fetched;
    private final Set<TopicPartition> paused;
    private final BooleanSupplier isThrottled;

    /** While {@code isThrottled}, all is paused, and what is not in {@code paused} resumes later. */
    ConsumerCalls(
            Consumer<byte[], byte[]> consumer,
            Fetched fetched,
            Set<TopicPartition> paused,
            BooleanSupplier isThrottled) {
        this.consumer = consumer;
        this.fetched = fetched;
        this.paused = paused;
        this.isThrottled = isThrottled;
    }

    JsonObject perform(Command command) {
        Fields fields = command.fields;
        switch (command.verb) {
            case "commit":
                commit(fields);
                return new JsonObject();
            case "committed":
                return committed(fields.partitions("partitions"));
            case "position":
                return position(fields.partitions("partitions"));
            case "seek":
                seek(fields.object("partition").partition(), fields);
                return new JsonObject();
            case "pause":
                consumer.pause(fields.partitions("partitions"));
                paused.addAll(fields.partitions("partitions"));
                return new JsonObject();
            case "resume":
                resume(fields.partitions("partitions"));
                return new JsonObject();
            case "offsets":
                return Json.object("offsets", offsets(fields));
            case "close":
                consumer.close();
                return new JsonObject();
            default:
                throw command.unknown();
        }
    }

    private void commit(Fields fields) {
        Map<TopicPartition, OffsetAndMetadata> offsets =
                fields.has("offsets")
                        ? AdminOffsets.toCommit(fields.object("offsets"))
                        : fetched.taken();
        consumer.commitSync(offsets);
    }

    private JsonObject committed(List<TopicPartition> partitions) {
        JsonObject offsets = new JsonObject();
        consumer.committed(new HashSet<>(partitions))
                .forEach((at, offset) -> offsets.add(Json.name(at), Json.committed(offset)));
        return Json.object("offsets", offsets);
    }

    private JsonObject position(List<TopicPartition> partitions) {
        JsonObject offsets = new JsonObject();
        for (TopicPartition each : partitions) {
            long offset = fetched.nextOffset(each).orElseGet(() -> consumer.position(each));
            offsets.addProperty(Json.name(each), offset);
        }
        return Json.object("offsets", offsets);
    }

    /** To the {@code offset} of the fields: a number, "earliest" or "latest". */
    void seek(TopicPartition partition, Fields fields) {
        if (fields.isNumber("offset")) {
            consumer.seek(partition, fields.number("offset"));
        } else if (fields.text("offset").equals("earliest")) {
            consumer.seekToBeginning(List.of(partition));
        } else if (fields.text("offset").equals("latest")) {
            consumer.seekToEnd(List.of(partition));
        } else {
            throw Refusal.badCommand("there is no offset " + fields.text("offset"));
        }
        fetched.drop(List.of(partition));
    }

    private void resume(Collection<TopicPartition> partitions) {
        if (!isThrottled.getAsBoolean()) {
            consumer.resume(partitions);
        }
        paused.removeAll(partitions);
    }

    private JsonObject offsets(Fields fields) {
        List<TopicPartition> partitions = fields.partitions("partitions");
        JsonObject offsets = new JsonObject();
        if (fields.isNumber("at")) {
            Map<TopicPartition, Long> wanted = new HashMap<>();
            partitions.forEach(each -> wanted.put(each, fields.number("at")));
            consumer.offsetsForTimes(wanted)
                    .forEach((at, found) -> offsets.add(Json.name(at), Json.of(shape(found))));
            return offsets;
        }
        for (Map.Entry<TopicPartition, Long> each : ends(fields.text("at"), partitions)) {
            offsets.add(Json.name(each.getKey()), Json.object("offset", each.getValue()));
        }
        return offsets;
    }

    private static JsonObject shape(OffsetAndTimestamp found) {
        return found == null
                ? null
                : Json.object("offset", found.offset(), "timestamp", found.timestamp());
    }

    private Set<Map.Entry<TopicPartition, Long>> ends(String at, List<TopicPartition> partitions) {
        switch (at) {
            case "earliest":
                return consumer.beginningOffsets(partitions).entrySet();
            case "latest":
                return consumer.endOffsets(partitions).entrySet();
            default:
                throw Refusal.badCommand("there is no offset " + at);
        }
    }
}
