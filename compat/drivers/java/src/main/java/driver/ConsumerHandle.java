package driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** {@code consumer.*}: polls on and on, and between two polls does its commands. */
final class ConsumerHandle extends Handle {
    /** How long a poll may take while nothing is awaited. */
    private static final long POLL_MS = 10_000;
    /** Between two polls of which the first failed. */
    private static final long REST_MS = 100;

    private final Fetched fetched = new Fetched();
    private final Set<TopicPartition> pausedByCommand = new HashSet<>();
    private KafkaConsumer<byte[], byte[]> consumer;
    private volatile Poller poller;
    private Events events;
    private ConsumerCalls calls;
    private Waiting waiting;
    private boolean commitsByItself;
    private boolean isThrottled;
    private boolean isOpen = true;
    private boolean isBroken;

    ConsumerHandle(Command opening, Answers answers, Runnable forget) {
        super(opening, answers, forget);
    }

    @Override
    protected void open(Fields fields) {
        Fields config = fields.object("config");
        consumer =
                new KafkaConsumer<>(
                        Settings.consumer(config),
                        new ByteArrayDeserializer(),
                        new ByteArrayDeserializer());
        commitsByItself =
                config.has("auto_commit") ? config.flag("auto_commit") : config.has("group");
        events = new Events(consumer, this::revoked);
        calls = new ConsumerCalls(consumer, fetched, pausedByCommand, () -> isThrottled);
        try {
            subscribe(fields);
        } catch (RuntimeException error) {
            consumer.close();
            throw error;
        }
        poller = new Poller(consumer);
    }

    private void subscribe(Fields fields) {
        if (fields.has("topics")) {
            consumer.subscribe(fields.texts("topics"), events);
        } else if (fields.has("pattern")) {
            consumer.subscribe(Pattern.compile(fields.text("pattern")), events);
        } else {
            List<Fields> wanted = fields.objects("assign");
            if (wanted.isEmpty()) {
                throw Refusal.badCommand("assign is empty");
            }
            consumer.assign(fields.partitions("assign"));
            wanted.stream()
                    .filter(each -> each.isNumber("offset") || !isCommitted(each))
                    .forEach(each -> calls.seek(each.partition(), each));
        }
    }

    private static boolean isCommitted(Fields fields) {
        return fields.text("offset").equals("committed");
    }

    private void revoked(Collection<TopicPartition> partitions) {
        if (commitsByItself) {
            fetched.forgetTaken(partitions);
        } else {
            fetched.drop(partitions);
        }
        pausedByCommand.removeAll(partitions);
    }

    @Override
    void submit(Command command) {
        super.submit(command);
        Poller reader = poller;
        if (reader != null) {
            reader.knock();
        }
    }

    @Override
    protected void work() throws InterruptedException {
        while (isOpen) {
            if (!poller.isOwedWakeup()) {
                doCommands();
            }
            if (isOpen) {
                poll();
            }
        }
    }

    /** Until one has to wait. */
    private void doCommands() {
        while (isOpen) {
            if (waiting != null) {
                if (!waiting.isDone() && waiting.remaining() > 0) {
                    return;
                }
                Waiting done = waiting;
                waiting = null;
                answers.result(done.command, done.result());
            } else {
                Command next = commands.poll();
                if (next == null) {
                    return;
                }
                begin(next);
            }
        }
    }

    private void begin(Command command) {
        try {
            waiting = waitingFor(command);
        } catch (Refusal refusal) {
            answers.error(command.id, ErrorReport.of(refusal));
            return;
        }
        if (waiting == null) {
            isOpen = !command.verb.equals("close");
            answer(command);
        }
    }

    private Waiting waitingFor(Command command) {
        switch (command.verb) {
            case "take":
                return Waiting.take(command, fetched);
            case "drain":
                return Waiting.drain(command, fetched);
            case "events":
                return Waiting.events(command, events, this);
            default:
                return null;
        }
    }

    @Override
    protected JsonObject perform(Command command) {
        return calls.perform(command);
    }

    JsonArray assignment() {
        return Json.partitions(consumer.assignment());
    }

    private void poll() throws InterruptedException {
        long patience = waiting == null ? POLL_MS : Math.min(POLL_MS, waiting.remaining());
        if (isBroken) {
            poller.rest(patience);
            return;
        }
        try {
            if (!poller.isOwedWakeup()) {
                throttle();
            }
            fetched.add(poller.poll(patience));
            if (!poller.isOwedWakeup()) {
                events.pollSucceeded();
            }
        } catch (RuntimeException error) {
            ErrorReport report = ErrorReport.of(error);
            events.error(report);
            isBroken = report.isFatal;
            poller.rest(Math.min(patience, REST_MS));
        }
    }

    /** Holds back what is fetched while enough waits here; polling goes on for the membership. */
    private void throttle() {
        boolean areRecordsWanted = waiting != null && waiting.wantsRecords();
        boolean isNeeded = fetched.isFull() && !areRecordsWanted;
        if (isNeeded) {
            consumer.pause(consumer.assignment());
        } else if (isThrottled) {
            Set<TopicPartition> flowing = new HashSet<>(consumer.assignment());
            flowing.removeAll(pausedByCommand);
            consumer.resume(flowing);
        }
        isThrottled = isNeeded;
    }
}
