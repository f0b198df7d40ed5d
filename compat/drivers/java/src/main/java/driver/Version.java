package driver;

import com.google.gson.JsonArray;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** What the client's versions call by different names. */
interface Version {
    /** The name by which the driver is known. */
    String client();

    Map<String, KafkaFuture<TopicDescription>> describeTopics(
            Admin admin, Collection<String> topics);

    Map<String, KafkaFuture<Void>> deleteTopics(Admin admin, Collection<String> topics);

    /** Of the partitions named, or of all for null. */
    KafkaFuture<Map<TopicPartition, OffsetAndMetadata>> groupOffsets(
            Admin admin, String group, List<TopicPartition> partitions);

    /** In the protocol's shape; in the states named, or in any for null. */
    JsonArray listGroups(Admin admin, List<String> states)
            throws ExecutionException, InterruptedException;

    String state(ConsumerGroupDescription group);

    /** Null where the client has no such thing. */
    OffsetSpec maxTimestamp();
}
