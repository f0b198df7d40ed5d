package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** The driver of the newest client. */
final class Newest implements Version {
    private Newest() {}

    public static void main(String[] arguments) throws IOException {
        new Driver(new Newest()).run();
    }

    @Override
    public String client() {
        return "java";
    }

    @Override
    public Map<String, KafkaFuture<TopicDescription>> describeTopics(
            Admin admin, Collection<String> topics) {
        return admin.describeTopics(topics).topicNameValues();
    }

    @Override
    public Map<String, KafkaFuture<Void>> deleteTopics(Admin admin, Collection<String> topics) {
        return admin.deleteTopics(topics).topicNameValues();
    }

    @Override
    public KafkaFuture<Map<TopicPartition, OffsetAndMetadata>> groupOffsets(
            Admin admin, String group, List<TopicPartition> partitions) {
        ListConsumerGroupOffsetsSpec spec =
                new ListConsumerGroupOffsetsSpec().topicPartitions(partitions);
        return admin.listConsumerGroupOffsets(Map.of(group, spec))
                .partitionsToOffsetAndMetadata(group);
    }

    @Override
    public JsonArray listGroups(Admin admin, List<String> states)
            throws ExecutionException, InterruptedException {
        ListGroupsOptions options = new ListGroupsOptions();
        if (states != null) {
            Set<GroupState> chosen =
                    states.stream().map(GroupState::parse).collect(Collectors.toSet());
            options.inGroupStates(chosen);
        }
        JsonArray groups = new JsonArray();
        for (GroupListing each : admin.listGroups(options).all().get()) {
            JsonElement state = Json.of(each.groupState().map(GroupState::toString).orElse(null));
            groups.add(
                    Json.object(
                            "group", each.groupId(),
                            "state", state,
                            "protocol_type", each.protocol()));
        }
        return groups;
    }

    @Override
    public String state(ConsumerGroupDescription group) {
        return group.groupState().toString();
    }

    @Override
    public OffsetSpec maxTimestamp() {
        return OffsetSpec.maxTimestamp();
    }
}
