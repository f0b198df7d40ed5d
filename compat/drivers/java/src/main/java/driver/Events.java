package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.Collection;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.common.TopicPartition;

/** What happened to a consumer since it was last asked. */
final class Events implements ConsumerRebalanceListener {
    interface OnRevoked {
        void revoked(Collection<TopicPartition> partitions);
    }

    private final Consumer<byte[], byte[]> consumer;
    private final OnRevoked onRevoked;
    private JsonArray events = new JsonArray();
    private String lastError = "";

    Events(Consumer<byte[], byte[]> consumer, OnRevoked onRevoked) {
        this.consumer = consumer;
        this.onRevoked = onRevoked;
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        add("assigned", partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        add("revoked", partitions);
        onRevoked.revoked(partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        add("lost", partitions);
        onRevoked.revoked(partitions);
    }

    private void add(String event, Collection<TopicPartition> partitions) {
        JsonObject made =
                Json.object("event", event, "partitions", Json.partitions(partitions));
        ConsumerGroupMetadata member = consumer.groupMetadata();
        if (!member.memberId().isEmpty()) {
            made.addProperty("generation", member.generationId());
            made.addProperty("member_id", member.memberId());
        }
        events.add(made);
    }

    /** The same error again and again is one event. */
    void error(ErrorReport error) {
        String text = error.json().toString();
        if (!text.equals(lastError)) {
            lastError = text;
            events.add(Json.object("event", "error", "error", error.json()));
        }
    }

    void pollSucceeded() {
        lastError = "";
    }

    boolean has(String event) {
        for (int i = 0; i < events.size(); i++) {
            if (events.get(i).getAsJsonObject().get("event").getAsString().equals(event)) {
                return true;
            }
        }
        return false;
    }

    JsonArray take() {
        JsonArray taken = events;
        events = new JsonArray();
        return taken;
    }
}
