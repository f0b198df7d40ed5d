package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.common.KafkaFuture;

final class AdminGroups {
    private AdminGroups() {}

    static void addTo(Map<String, AdminHandle.Operation> operations) {
        operations.put("list_groups", AdminGroups::list);
        operations.put("describe_groups", AdminGroups::describe);
        operations.put("delete_groups", AdminGroups::delete);
    }

    private static JsonObject list(Admin admin, Version version, Fields fields)
            throws ExecutionException, InterruptedException {
        return Json.object(
                "groups",
                version.listGroups(admin, fields.has("states") ? fields.texts("states") : null));
    }

    private static JsonObject describe(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        JsonObject groups = new JsonObject();
        Map<String, KafkaFuture<ConsumerGroupDescription>> futures =
                admin.describeConsumerGroups(fields.texts("groups")).describedGroups();
        for (Map.Entry<String, KafkaFuture<ConsumerGroupDescription>> one : futures.entrySet()) {
            groups.add(
                    one.getKey(),
                    AdminHandle.each(one.getValue(), group -> description(group, version)));
        }
        return Json.object("groups", groups);
    }

    private static JsonObject description(ConsumerGroupDescription group, Version version) {
        JsonArray members = new JsonArray();
        for (MemberDescription each : group.members()) {
            members.add(
                    Json.object(
                            "member_id", each.consumerId(),
                            "instance_id", each.groupInstanceId().orElse(null),
                            "client_id", each.clientId(),
                            "assignment", Json.names(each.assignment().topicPartitions())));
        }
        return Json.object(
                "state", version.state(group),
                "protocol", group.partitionAssignor(),
                "protocol_type", group.isSimpleConsumerGroup() ? "" : "consumer",
                "coordinator", AdminCluster.id(group.coordinator()),
                "members", members);
    }

    private static JsonObject delete(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        Map<String, KafkaFuture<Void>> futures =
                admin.deleteConsumerGroups(fields.texts("groups")).deletedGroups();
        return Json.object("groups", AdminHandle.done(futures));
    }
}
