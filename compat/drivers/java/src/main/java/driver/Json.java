package driver;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.IOException;
import java.io.StringReader;
import java.util.Base64;
import java.util.Collection;
import java.util.Comparator;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;

/** The protocol's shapes. */
final class Json {
    private static final Gson GSON =
            new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final Comparator<TopicPartition> ORDER =
            Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition);

    private Json() {}

    /** Throws Refusal. */
    static JsonObject parse(String line) {
        try {
            JsonReader reader = new JsonReader(new StringReader(line));
            reader.setStrictness(Strictness.STRICT);
            JsonElement found = JsonParser.parseReader(reader);
            if (found.isJsonObject() && reader.peek() == JsonToken.END_DOCUMENT) {
                return found.getAsJsonObject();
            }
        } catch (IOException | JsonParseException error) {
            throw Refusal.badCommand("not JSON: " + error.getMessage());
        }
        throw Refusal.badCommand("not a JSON object");
    }

    static String text(JsonElement value) {
        return GSON.toJson(value);
    }

    static JsonElement of(Object value) {
        if (value == null) {
            return JsonNull.INSTANCE;
        }
        if (value instanceof JsonElement) {
            return (JsonElement) value;
        }
        if (value instanceof Number) {
            return new JsonPrimitive((Number) value);
        }
        if (value instanceof Boolean) {
            return new JsonPrimitive((Boolean) value);
        }
        return new JsonPrimitive((String) value);
    }

    /** Names and values in turn. */
    static JsonObject object(Object... namesAndValues) {
        JsonObject made = new JsonObject();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            made.add((String) namesAndValues[i], of(namesAndValues[i + 1]));
        }
        return made;
    }

    static JsonArray array(Collection<?> values) {
        JsonArray made = new JsonArray();
        values.forEach(value -> made.add(of(value)));
        return made;
    }

    static JsonElement bytes(byte[] data) {
        return of(data == null ? null : Base64.getEncoder().encodeToString(data));
    }

    static String name(TopicPartition partition) {
        return partition.topic() + "-" + partition.partition();
    }

    /** Throws Refusal. */
    static TopicPartition partition(String name) {
        int dash = name.lastIndexOf('-');
        try {
            return new TopicPartition(
                    name.substring(0, dash), Integer.parseUnsignedInt(name.substring(dash + 1)));
        } catch (IndexOutOfBoundsException | NumberFormatException error) {
            throw Refusal.badCommand(name + " is not a topic's name, a dash and a partition");
        }
    }

    static JsonArray partitions(Collection<TopicPartition> partitions) {
        JsonArray made = new JsonArray();
        partitions.stream()
                .sorted(ORDER)
                .forEach(p -> made.add(object("topic", p.topic(), "partition", p.partition())));
        return made;
    }

    static JsonArray names(Collection<TopicPartition> partitions) {
        JsonArray made = new JsonArray();
        partitions.stream().sorted(ORDER).forEach(partition -> made.add(name(partition)));
        return made;
    }

    static JsonElement committed(OffsetAndMetadata offset) {
        return offset == null
                ? JsonNull.INSTANCE
                : object("offset", offset.offset(), "metadata", offset.metadata());
    }

    static JsonObject record(ConsumerRecord<byte[], byte[]> record) {
        JsonArray headers = new JsonArray();
        for (Header header : record.headers()) {
            JsonArray pair = new JsonArray();
            pair.add(header.key());
            pair.add(bytes(header.value()));
            headers.add(pair);
        }
        JsonObject made =
                object(
                        "topic", record.topic(),
                        "partition", record.partition(),
                        "offset", record.offset(),
                        "key", bytes(record.key()),
                        "value", bytes(record.value()),
                        "headers", headers,
                        "timestamp", record.timestamp());
        if (record.timestampType() == TimestampType.CREATE_TIME) {
            made.addProperty("timestamp_type", "create");
        } else if (record.timestampType() == TimestampType.LOG_APPEND_TIME) {
            made.addProperty("timestamp_type", "append");
        }
        record.leaderEpoch().ifPresent(epoch -> made.addProperty("leader_epoch", epoch));
        return made;
    }
}
