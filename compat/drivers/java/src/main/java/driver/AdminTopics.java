package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;

final class AdminTopics {
    private AdminTopics() {}

    static void addTo(Map<String, AdminHandle.Operation> operations) {
        operations.put("create_topics", AdminTopics::create);
        operations.put("delete_topics", AdminTopics::delete);
        operations.put("create_partitions", AdminTopics::createPartitions);
        operations.put("list_topics", AdminTopics::list);
        operations.put("describe_topics", AdminTopics::describe);
    }

    private static JsonObject create(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        List<NewTopic> topics = new ArrayList<>();
        fields.objects("topics").forEach(each -> topics.add(newTopic(each)));
        CreateTopicsOptions options =
                new CreateTopicsOptions().validateOnly(fields.flag("validate_only"));
        return Json.object("topics", AdminHandle.done(admin.createTopics(topics, options).values()));
    }

    private static NewTopic newTopic(Fields fields) {
        String name = fields.text("name");
        NewTopic made;
        if (fields.has("assignments")) {
            Fields assignments = fields.object("assignments");
            Map<Integer, List<Integer>> replicas = new HashMap<>();
            for (String partition : assignments.names()) {
                replicas.put(partitionNumber(partition), assignments.integers(partition));
            }
            made = new NewTopic(name, replicas);
        } else {
            Optional<Short> replication =
                    Optional.ofNullable(fields.integerOrNull("replication"))
                            .map(Integer::shortValue);
            made =
                    new NewTopic(
                            name,
                            Optional.ofNullable(fields.integerOrNull("partitions")),
                            replication);
        }
        Fields configs = fields.object("configs");
        return made.configs(
                configs.names().stream().collect(Collectors.toMap(n -> n, configs::setting)));
    }

    private static int partitionNumber(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException error) {
            throw Refusal.badCommand(text + " is not a partition's number");
        }
    }

    private static JsonObject delete(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        Map<String, KafkaFuture<Void>> futures =
                version.deleteTopics(admin, fields.texts("topics"));
        return Json.object("topics", AdminHandle.done(futures));
    }

    private static JsonObject createPartitions(Admin admin, Version version, Fields fields)
            throws ExecutionException, InterruptedException {
        int count = fields.integer("count");
        NewPartitions wanted =
                fields.has("assignments")
                        ? NewPartitions.increaseTo(count, fields.listsOfIntegers("assignments"))
                        : NewPartitions.increaseTo(count);
        admin.createPartitions(Map.of(fields.text("topic"), wanted)).all().get();
        return new JsonObject();
    }

    private static JsonObject list(Admin admin, Version version, Fields fields)
            throws ExecutionException, InterruptedException {
        return Json.object("topics", Json.array(admin.listTopics().names().get()));
    }

    private static JsonObject describe(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        JsonObject topics = new JsonObject();
        Map<String, KafkaFuture<TopicDescription>> futures =
                version.describeTopics(admin, fields.texts("topics"));
        for (Map.Entry<String, KafkaFuture<TopicDescription>> one : futures.entrySet()) {
            topics.add(one.getKey(), AdminHandle.each(one.getValue(), AdminTopics::description));
        }
        return Json.object("topics", topics);
    }

    /** This client does not tell leader epochs. */
    private static JsonObject description(TopicDescription topic) {
        JsonArray partitions = new JsonArray();
        for (TopicPartitionInfo each : topic.partitions()) {
            partitions.add(
                    Json.object(
                            "partition", each.partition(),
                            "leader", AdminCluster.id(each.leader()),
                            "replicas", ids(each.replicas()),
                            "isr", ids(each.isr())));
        }
        JsonObject made =
                Json.object("internal", topic.isInternal(), "partitions", partitions);
        if (!topic.topicId().equals(Uuid.ZERO_UUID)) {
            made.addProperty("id", topic.topicId().toString());
        }
        return made;
    }

    private static JsonArray ids(List<Node> nodes) {
        return Json.array(nodes.stream().map(Node::id).collect(Collectors.toList()));
    }
}
