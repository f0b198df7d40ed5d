package driver;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.consumer.KafkaConsumer;

/** Reads commands, each of which goes to the thread of its handle. */
final class Driver {
    private static final List<String> CAPABILITIES =
            List.of(
                    "produce", "consume", "groups", "headers", "timestamps", "idempotent", "acks0",
                    "regex", "static_membership", "cooperative", "range", "roundrobin", "sticky",
                    "auto_commit", "auto_commit_interval", "manual_commit", "offsets_for_times",
                    "pause", "reset_none", "isolation", "gzip", "snappy", "lz4", "zstd", "partitioner_java",
                    "partitions_explicit", "events", "generation");

    private final Version version;
    private final Answers answers = new Answers();
    private final Map<String, Handle> handles = new ConcurrentHashMap<>();

    Driver(Version version) {
        this.version = version;
    }

    /** Until the end of standard input, which ends the process as a crash does. */
    void run() throws IOException {
        Thread.setDefaultUncaughtExceptionHandler(Driver::die);
        BufferedReader input =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        hello();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            take(line);
        }
        Runtime.getRuntime().halt(0);
    }

    /** A driver that lost a thread would leave commands without an answer. */
    private static void die(Thread thread, Throwable error) {
        error.printStackTrace();
        Runtime.getRuntime().halt(70);
    }

    private void hello() throws IOException {
        List<String> capabilities = new ArrayList<>(CAPABILITIES);
        AdminHandle.verbs().forEach(verb -> capabilities.add("admin." + verb));
        JsonObject hello =
                Json.object(
                        "client", version.client(),
                        "version", clientVersion(),
                        "language", "java",
                        "partitioner", "java",
                        "capabilities", Json.array(capabilities));
        answers.line(Json.object("hello", hello));
    }

    private static String clientVersion() throws IOException {
        Properties facts = new Properties();
        try (InputStream file =
                KafkaConsumer.class.getResourceAsStream("/kafka/kafka-version.properties")) {
            facts.load(file);
        }
        return facts.getProperty("version");
    }

    private void take(String line) {
        JsonElement id = JsonNull.INSTANCE;
        try {
            JsonObject parsed = Json.parse(line);
            id = Command.idOf(parsed);
            hand(new Command(parsed));
        } catch (Refusal refusal) {
            answers.error(id, ErrorReport.of(refusal));
        }
    }

    private void hand(Command command) {
        String name = command.kind + " " + command.handle;
        Handle handle = handles.get(name);
        if (command.verb.equals("open")) {
            if (handle != null) {
                throw Refusal.badCommand(command.handle + " is open already");
            }
            Handle opened = open(command, () -> handles.remove(name));
            handles.put(name, opened);
            opened.start();
        } else if (handle == null) {
            throw Refusal.badCommand("there is no " + command.kind + " " + command.handle);
        } else {
            handle.submit(command);
        }
    }

    private Handle open(Command command, Runnable forget) {
        switch (command.kind) {
            case "producer":
                return new ProducerHandle(command, answers, forget);
            case "consumer":
                return new ConsumerHandle(command, answers, forget);
            case "admin":
                return new AdminHandle(command, answers, forget, version);
            default:
                throw command.unknown();
        }
    }
}
