package driver;

import com.google.gson.JsonObject;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.function.Function;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.KafkaFuture;

/** {@code admin.*}: each command is one call of the client. */
final class AdminHandle extends Handle {
    /** One command; throws what the client throws. */
    interface Operation {
        JsonObject perform(Admin admin, Version version, Fields fields)
                throws ExecutionException, InterruptedException;
    }

    private static final Map<String, Operation> OPERATIONS = new HashMap<>();

    static {
        AdminTopics.addTo(OPERATIONS);
        AdminCluster.addTo(OPERATIONS);
        AdminGroups.addTo(OPERATIONS);
        AdminOffsets.addTo(OPERATIONS);
    }

    private final Version version;
    private Admin admin;

    AdminHandle(Command opening, Answers answers, Runnable forget, Version version) {
        super(opening, answers, forget);
        this.version = version;
    }

    static List<String> verbs() {
        return List.copyOf(new TreeSet<>(OPERATIONS.keySet()));
    }

    @Override
    protected void open(Fields fields) {
        admin = Admin.create(Settings.admin(fields.object("config")));
    }

    @Override
    protected JsonObject perform(Command command) throws ExecutionException, InterruptedException {
        if (command.verb.equals("close")) {
            admin.close();
            return new JsonObject();
        }
        Operation operation = OPERATIONS.get(command.verb);
        if (operation == null) {
            throw command.unknown();
        }
        return operation.perform(admin, version, command.fields);
    }

    /** What a future holds, or its error, in the place of one of several. */
    static <T> JsonObject each(KafkaFuture<T> future, Function<T, JsonObject> shape)
            throws InterruptedException {
        try {
            return shape.apply(future.get());
        } catch (ExecutionException error) {
            return ErrorReport.alone(error);
        }
    }

    /** {@code {}} or an error for each name. */
    static JsonObject done(Map<String, KafkaFuture<Void>> futures) throws InterruptedException {
        JsonObject made = new JsonObject();
        for (Map.Entry<String, KafkaFuture<Void>> one : futures.entrySet()) {
            made.add(one.getKey(), each(one.getValue(), nothing -> new JsonObject()));
        }
        return made;
    }
}
