package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.AbstractMap.SimpleEntry;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.apache.kafka.common.TopicPartition;

/** A JSON object read with types: what is not of the type asked for is a bad command. */
final class Fields {
    private final JsonObject object;

    Fields(JsonObject object) {
        this.object = object;
    }

    /** Neither absent nor null. */
    boolean has(String name) {
        JsonElement value = object.get(name);
        return value != null && !value.isJsonNull();
    }

    Set<String> names() {
        return object.keySet();
    }

    String text(String name) {
        return text(name, need(name));
    }

    String text(String name, String otherwise) {
        return has(name) ? text(name) : otherwise;
    }

    long number(String name) {
        return number(name, need(name));
    }

    long number(String name, long otherwise) {
        return has(name) ? number(name) : otherwise;
    }

    int integer(String name) {
        return integer(name, need(name));
    }

    Integer integerOrNull(String name) {
        return has(name) ? Integer.valueOf(integer(name)) : null;
    }

    Long numberOrNull(String name) {
        return has(name) ? Long.valueOf(number(name)) : null;
    }

    boolean flag(String name) {
        return has(name) && flag(name, need(name));
    }

    byte[] bytesOrNull(String name) {
        return has(name) ? bytes(name, need(name)) : null;
    }

    boolean isNumber(String name) {
        JsonElement value = need(name);
        return value.isJsonPrimitive() && value.getAsJsonPrimitive().isNumber();
    }

    /** A string, number or boolean as a setting's text. */
    String setting(String name) {
        JsonElement value = need(name);
        if (!value.isJsonPrimitive()) {
            throw wrong(name, "a plain value");
        }
        return value.getAsString();
    }

    /** Empty when absent. */
    Fields object(String name) {
        return has(name) ? new Fields(object(name, need(name))) : new Fields(new JsonObject());
    }

    List<Fields> objects(String name) {
        return list(name, need(name), each -> new Fields(object(name, each)));
    }

    List<String> texts(String name) {
        return list(name, need(name), each -> text(name, each));
    }

    List<Integer> integers(String name) {
        return list(name, need(name), each -> integer(name, each));
    }

    List<List<Integer>> listsOfIntegers(String name) {
        return list(name, need(name), one -> list(name, one, each -> integer(name, each)));
    }

    /** {@code [["h", "djE="], ["h", null]]}: lists of two, the second of them bytes or null. */
    List<Map.Entry<String, byte[]>> headers(String name) {
        return list(name, need(name), pair -> {
            if (!pair.isJsonArray() || pair.getAsJsonArray().size() != 2) {
                throw wrong(name, "pairs of a name and bytes");
            }
            JsonArray both = pair.getAsJsonArray();
            byte[] value = both.get(1).isJsonNull() ? null : bytes(name, both.get(1));
            return new SimpleEntry<>(text(name, both.get(0)), value);
        });
    }

    TopicPartition partition() {
        return new TopicPartition(text("topic"), integer("partition"));
    }

    List<TopicPartition> partitions(String name) {
        List<TopicPartition> found = new ArrayList<>();
        objects(name).forEach(each -> found.add(each.partition()));
        return found;
    }

    /** {@code {"t-0": ...}}: what stands with each partition is read by {@code read}. */
    <T> Map<TopicPartition, T> byPartition(Function<String, T> read) {
        Map<TopicPartition, T> found = new LinkedHashMap<>();
        names().forEach(name -> found.put(Json.partition(name), read.apply(name)));
        return found;
    }

    private JsonElement need(String name) {
        if (!has(name)) {
            throw Refusal.badCommand(name + " is missing");
        }
        return object.get(name);
    }

    private static JsonObject object(String name, JsonElement value) {
        if (!value.isJsonObject()) {
            throw wrong(name, "an object");
        }
        return value.getAsJsonObject();
    }

    private static String text(String name, JsonElement value) {
        if (!value.isJsonPrimitive() || !value.getAsJsonPrimitive().isString()) {
            throw wrong(name, "a string");
        }
        return value.getAsString();
    }

    private static long number(String name, JsonElement value) {
        JsonPrimitive plain = value.isJsonPrimitive() ? value.getAsJsonPrimitive() : null;
        if (plain == null || !plain.isNumber()) {
            throw wrong(name, "a number");
        }
        try {
            return plain.getAsBigDecimal().longValueExact();
        } catch (ArithmeticException | NumberFormatException error) {
            throw wrong(name, "a whole number of 64 bits");
        }
    }

    private static int integer(String name, JsonElement value) {
        long number = number(name, value);
        if (number != (int) number) {
            throw wrong(name, "a whole number of 32 bits");
        }
        return (int) number;
    }

    private static boolean flag(String name, JsonElement value) {
        if (!value.isJsonPrimitive() || !value.getAsJsonPrimitive().isBoolean()) {
            throw wrong(name, "true or false");
        }
        return value.getAsBoolean();
    }

    private static byte[] bytes(String name, JsonElement value) {
        try {
            return Base64.getDecoder().decode(text(name, value));
        } catch (IllegalArgumentException error) {
            throw wrong(name, "base64");
        }
    }

    private static <T> List<T> list(
            String name, JsonElement value, Function<JsonElement, T> read) {
        if (!value.isJsonArray()) {
            throw wrong(name, "a list");
        }
        List<T> found = new ArrayList<>();
        value.getAsJsonArray().forEach(each -> found.add(read.apply(each)));
        return found;
    }

    private static Refusal wrong(String name, String expected) {
        return Refusal.badCommand(name + " is not " + expected);
    }
}
