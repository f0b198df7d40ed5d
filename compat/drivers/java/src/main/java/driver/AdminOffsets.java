package driver;

import com.google.gson.JsonObject;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.DeleteConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.DeletedRecords;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;

/** Offsets of partitions and of groups. */
final class AdminOffsets {
    private AdminOffsets() {}

    static void addTo(Map<String, AdminHandle.Operation> operations) {
        operations.put("group_offsets", AdminOffsets::ofGroup);
        operations.put("alter_group_offsets", AdminOffsets::alter);
        operations.put("delete_group_offsets", AdminOffsets::delete);
        operations.put("list_offsets", AdminOffsets::list);
        operations.put("delete_records", AdminOffsets::deleteRecords);
    }

    /** {@code {"t-0": {"offset", "metadata", "leader_epoch"}}}, of a command's {@code offsets}. */
    static Map<TopicPartition, OffsetAndMetadata> toCommit(Fields offsets) {
        return offsets.byPartition(
                name -> {
                    Fields each = offsets.object(name);
                    return new OffsetAndMetadata(
                            each.number("offset"),
                            Optional.ofNullable(each.integerOrNull("leader_epoch")),
                            each.text("metadata", ""));
                });
    }

    private static JsonObject ofGroup(Admin admin, Version version, Fields fields)
            throws ExecutionException, InterruptedException {
        List<TopicPartition> wanted =
                fields.has("partitions") ? fields.partitions("partitions") : null;
        JsonObject offsets = new JsonObject();
        version.groupOffsets(admin, fields.text("group"), wanted)
                .get()
                .forEach((at, offset) -> offsets.add(Json.name(at), Json.committed(offset)));
        return Json.object("offsets", offsets);
    }

    private static JsonObject alter(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        Map<TopicPartition, OffsetAndMetadata> offsets = toCommit(fields.object("offsets"));
        AlterConsumerGroupOffsetsResult result =
                admin.alterConsumerGroupOffsets(fields.text("group"), offsets);
        Map<String, KafkaFuture<Void>> futures = new LinkedHashMap<>();
        offsets.keySet().forEach(at -> futures.put(Json.name(at), result.partitionResult(at)));
        return Json.object("offsets", AdminHandle.done(futures));
    }

    private static JsonObject delete(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        Set<TopicPartition> partitions = Set.copyOf(fields.partitions("partitions"));
        DeleteConsumerGroupOffsetsResult result =
                admin.deleteConsumerGroupOffsets(fields.text("group"), partitions);
        Map<String, KafkaFuture<Void>> futures = new LinkedHashMap<>();
        partitions.forEach(at -> futures.put(Json.name(at), result.partitionResult(at)));
        return Json.object("offsets", AdminHandle.done(futures));
    }

    private static JsonObject list(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        OffsetSpec at = spec(version, fields);
        Map<TopicPartition, OffsetSpec> wanted = new LinkedHashMap<>();
        fields.partitions("partitions").forEach(partition -> wanted.put(partition, at));
        ListOffsetsResult result = admin.listOffsets(wanted, new ListOffsetsOptions(level(fields)));
        JsonObject offsets = new JsonObject();
        for (TopicPartition partition : wanted.keySet()) {
            offsets.add(
                    Json.name(partition),
                    AdminHandle.each(result.partitionResult(partition), AdminOffsets::found));
        }
        return Json.object("offsets", offsets);
    }

    private static JsonObject found(ListOffsetsResultInfo info) {
        JsonObject made = Json.object("offset", info.offset(), "timestamp", info.timestamp());
        info.leaderEpoch().ifPresent(epoch -> made.addProperty("leader_epoch", epoch));
        return made;
    }

    private static OffsetSpec spec(Version version, Fields fields) {
        if (fields.isNumber("at")) {
            return OffsetSpec.forTimestamp(fields.number("at"));
        }
        switch (fields.text("at")) {
            case "earliest":
                return OffsetSpec.earliest();
            case "latest":
                return OffsetSpec.latest();
            case "max_timestamp":
                if (version.maxTimestamp() == null) {
                    throw Refusal.unsupported("the client does not ask for the largest timestamp");
                }
                return version.maxTimestamp();
            default:
                throw Refusal.badCommand("there is no offset " + fields.text("at"));
        }
    }

    private static IsolationLevel level(Fields fields) {
        String name = fields.text("isolation", "read_uncommitted");
        switch (name) {
            case "read_uncommitted":
                return IsolationLevel.READ_UNCOMMITTED;
            case "read_committed":
                return IsolationLevel.READ_COMMITTED;
            default:
                throw Refusal.badCommand("there is no isolation " + name);
        }
    }

    private static JsonObject deleteRecords(Admin admin, Version version, Fields fields)
            throws InterruptedException {
        Fields wanted = fields.object("offsets");
        Map<TopicPartition, RecordsToDelete> before = new HashMap<>();
        before.putAll(wanted.byPartition(n -> RecordsToDelete.beforeOffset(wanted.number(n))));
        JsonObject offsets = new JsonObject();
        Map<TopicPartition, KafkaFuture<DeletedRecords>> futures =
                admin.deleteRecords(before).lowWatermarks();
        for (Map.Entry<TopicPartition, KafkaFuture<DeletedRecords>> one : futures.entrySet()) {
            offsets.add(
                    Json.name(one.getKey()),
                    AdminHandle.each(
                            one.getValue(),
                            deleted -> Json.object("low_watermark", deleted.lowWatermark())));
        }
        return Json.object("offsets", offsets);
    }
}
