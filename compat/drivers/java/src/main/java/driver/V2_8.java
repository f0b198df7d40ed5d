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
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** The driver of the client of Kafka 2.8. */
final class V2_8 implements Version {
    private V2_8() {}

    public static void main(String[] arguments) throws IOException {
        new Driver(new V2_8()).run();
    }

    @Override
    public String client() {
        return "java-2.8";
    }

    @Override
    public Map<String, KafkaFuture<TopicDescription>> describeTopics(
            Admin admin, Collection<String> topics) {
        return admin.describeTopics(topics).values();
    }

    @Override
    public Map<String, KafkaFuture<Void>> deleteTopics(Admin admin, Collection<String> topics) {
        return admin.deleteTopics(topics).values();
    }

    @Override
    public KafkaFuture<Map<TopicPartition, OffsetAndMetadata>> groupOffsets(
            Admin admin, String group, List<TopicPartition> partitions) {
        ListConsumerGroupOffsetsOptions options =
                new ListConsumerGroupOffsetsOptions().topicPartitions(partitions);
        return admin.listConsumerGroupOffsets(group, options).partitionsToOffsetAndMetadata();
    }

    /** This client lists the groups of consumers, and those that only commit, alone. */
    @Override
    public JsonArray listGroups(Admin admin, List<String> states)
            throws ExecutionException, InterruptedException {
        ListConsumerGroupsOptions options = new ListConsumerGroupsOptions();
        if (states != null) {
            Set<ConsumerGroupState> chosen =
                    states.stream().map(ConsumerGroupState::parse).collect(Collectors.toSet());
            options.inStates(chosen);
        }
        JsonArray groups = new JsonArray();
        for (ConsumerGroupListing each : admin.listConsumerGroups(options).all().get()) {
            JsonElement state = Json.of(each.state().map(ConsumerGroupState::toString).orElse(null));
            groups.add(
                    Json.object(
                            "group", each.groupId(),
                            "state", state,
                            "protocol_type", each.isSimpleConsumerGroup() ? "" : "consumer"));
        }
        return groups;
    }

    @Override
    public String state(ConsumerGroupDescription group) {
        return group.state().toString();
    }

    @Override
    public OffsetSpec maxTimestamp() {
        return null;
    }
}
