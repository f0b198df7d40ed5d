package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** {@code producer.*}. */
final class ProducerHandle extends Handle {
    private KafkaProducer<byte[], byte[]> producer;

    ProducerHandle(Command opening, Answers answers, Runnable forget) {
        super(opening, answers, forget);
    }

    @Override
    protected void open(Fields fields) {
        producer =
                new KafkaProducer<>(
                        Settings.producer(fields.object("config")),
                        new ByteArraySerializer(),
                        new ByteArraySerializer());
    }

    @Override
    protected JsonObject perform(Command command) throws InterruptedException {
        switch (command.verb) {
            case "send":
                return send(command.fields);
            case "fill":
                return new Filling(command.fields).run(producer);
            case "flush":
                producer.flush();
                return new JsonObject();
            case "close":
                producer.close();
                return new JsonObject();
            default:
                throw command.unknown();
        }
    }

    private JsonObject send(Fields fields) throws InterruptedException {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (Fields each : fields.objects("records")) {
            records.add(record(each));
        }
        JsonArray sent = new JsonArray();
        List<Future<RecordMetadata>> waiting = new ArrayList<>();
        for (ProducerRecord<byte[], byte[]> record : records) {
            Future<RecordMetadata> answer = send(record);
            if (fields.flag("each")) {
                sent.add(sent(answer));
            } else {
                waiting.add(answer);
            }
        }
        for (Future<RecordMetadata> answer : waiting) {
            sent.add(sent(answer));
        }
        return Json.object("sent", sent);
    }

    /** What the client refuses at once is an answer to its record like any other. */
    private Future<RecordMetadata> send(ProducerRecord<byte[], byte[]> record) {
        try {
            return producer.send(record);
        } catch (RuntimeException error) {
            return CompletableFuture.failedFuture(error);
        }
    }

    private static JsonElement sent(Future<RecordMetadata> answer) throws InterruptedException {
        try {
            RecordMetadata metadata = answer.get();
            JsonObject made =
                    Json.object(
                            "partition", metadata.partition(),
                            "offset", metadata.hasOffset() ? metadata.offset() : -1);
            if (metadata.hasTimestamp()) {
                made.addProperty("timestamp", metadata.timestamp());
            }
            return made;
        } catch (ExecutionException error) {
            return ErrorReport.alone(error);
        }
    }

    private static ProducerRecord<byte[], byte[]> record(Fields fields) {
        List<Header> headers = new ArrayList<>();
        if (fields.has("headers")) {
            for (Map.Entry<String, byte[]> each : fields.headers("headers")) {
                headers.add(new RecordHeader(each.getKey(), each.getValue()));
            }
        }
        try {
            return new ProducerRecord<>(
                    fields.text("topic"),
                    fields.integerOrNull("partition"),
                    fields.numberOrNull("timestamp"),
                    fields.bytesOrNull("key"),
                    fields.bytesOrNull("value"),
                    headers);
        } catch (IllegalArgumentException error) {
            throw Refusal.badCommand(error.getMessage());
        }
    }
}
