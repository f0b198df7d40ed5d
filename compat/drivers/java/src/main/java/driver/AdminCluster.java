package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

final class AdminCluster {
    private AdminCluster() {}

    static void addTo(Map<String, AdminHandle.Operation> operations) {
        operations.put("describe_cluster", AdminCluster::describe);
        operations.put("describe_configs", AdminCluster::describeConfigs);
        operations.put("alter_configs", AdminCluster::alterConfigs);
        operations.put("elect_leaders", AdminCluster::electLeaders);
    }

    /** Null for no node. */
    static JsonElement id(Node node) {
        return Json.of(node == null || node.isEmpty() ? null : node.id());
    }

    private static JsonObject describe(Admin admin, Version version, Fields fields)
            throws ExecutionException, InterruptedException {
        DescribeClusterResult cluster = admin.describeCluster();
        JsonArray brokers = new JsonArray();
        for (Node each : cluster.nodes().get()) {
            brokers.add(
                    Json.object(
                            "id", each.id(),
                            "host", each.host(),
                            "port", each.port(),
                            "rack", each.rack()));
        }
        return Json.object(
                "cluster_id", cluster.clusterId().get(),
                "controller", id(cluster.controller().get()),
                "brokers", brokers);
    }

    private static ConfigResource resource(Fields fields) {
        String name = fields.text("name");
        String type = fields.text("type").toUpperCase(Locale.ROOT);
        for (ConfigResource.Type each : ConfigResource.Type.values()) {
            if (each.name().equals(type)) {
                return new ConfigResource(each, name);
            }
        }
        throw Refusal.unsupported("the client knows no configs of a " + fields.text("type"));
    }

    private static JsonObject describeConfigs(Admin admin, Version version, Fields fields)
            throws ExecutionException, InterruptedException {
        ConfigResource resource = resource(fields);
        Config found = admin.describeConfigs(Set.of(resource)).all().get().get(resource);
        JsonObject configs = new JsonObject();
        for (ConfigEntry each : found.entries()) {
            configs.add(
                    each.name(),
                    Json.object(
                            "value", each.value(),
                            "source", each.source().name(),
                            "default", each.isDefault(),
                            "sensitive", each.isSensitive(),
                            "read_only", each.isReadOnly()));
        }
        return Json.object("configs", configs);
    }

    private static JsonObject alterConfigs(Admin admin, Version version, Fields fields)
            throws ExecutionException, InterruptedException {
        Fields set = fields.object("set");
        Collection<AlterConfigOp> operations = new ArrayList<>();
        for (String name : set.names()) {
            ConfigEntry entry = new ConfigEntry(name, set.setting(name));
            operations.add(new AlterConfigOp(entry, AlterConfigOp.OpType.SET));
        }
        if (fields.has("unset")) {
            for (String name : fields.texts("unset")) {
                ConfigEntry entry = new ConfigEntry(name, null);
                operations.add(new AlterConfigOp(entry, AlterConfigOp.OpType.DELETE));
            }
        }
        admin.incrementalAlterConfigs(Map.of(resource(fields), operations)).all().get();
        return new JsonObject();
    }

    private static JsonObject electLeaders(Admin admin, Version version, Fields fields)
            throws ExecutionException, InterruptedException {
        List<TopicPartition> wanted = fields.partitions("partitions");
        Map<TopicPartition, Optional<Throwable>> answers =
                admin.electLeaders(electionType(fields.text("type")), Set.copyOf(wanted))
                        .partitions()
                        .get();
        JsonObject partitions = new JsonObject();
        answers.forEach(
                (partition, error) ->
                        partitions.add(
                                Json.name(partition),
                                error.map(ErrorReport::alone).orElseGet(JsonObject::new)));
        return Json.object("partitions", partitions);
    }

    private static ElectionType electionType(String name) {
        switch (name) {
            case "preferred":
                return ElectionType.PREFERRED;
            case "unclean":
                return ElectionType.UNCLEAN;
            default:
                throw Refusal.badCommand("there is no election " + name);
        }
    }
}
