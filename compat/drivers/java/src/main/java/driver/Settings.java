package driver;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.producer.ProducerConfig;

/** The protocol's settings as the client's; whatever is not named keeps the client's default. */
final class Settings {
    private static final Map<String, String> COMMON =
            Map.of(
                    "bootstrap", CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG,
                    "client_id", CommonClientConfigs.CLIENT_ID_CONFIG,
                    "request_timeout_ms", CommonClientConfigs.REQUEST_TIMEOUT_MS_CONFIG,
                    "metadata_max_age_ms", CommonClientConfigs.METADATA_MAX_AGE_CONFIG,
                    "rack", CommonClientConfigs.CLIENT_RACK_CONFIG);

    private static final Map<String, String> PRODUCER =
            Map.ofEntries(
                    Map.entry("acks", ProducerConfig.ACKS_CONFIG),
                    Map.entry("idempotent", ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG),
                    Map.entry("compression", ProducerConfig.COMPRESSION_TYPE_CONFIG),
                    Map.entry("linger_ms", ProducerConfig.LINGER_MS_CONFIG),
                    Map.entry("batch_bytes", ProducerConfig.BATCH_SIZE_CONFIG),
                    Map.entry(
                            "max_in_flight", ProducerConfig.MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION),
                    Map.entry("retries", ProducerConfig.RETRIES_CONFIG),
                    Map.entry("retry_backoff_ms", ProducerConfig.RETRY_BACKOFF_MS_CONFIG),
                    Map.entry("delivery_timeout_ms", ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG),
                    Map.entry("max_request_bytes", ProducerConfig.MAX_REQUEST_SIZE_CONFIG));

    private static final Map<String, String> CONSUMER =
            Map.ofEntries(
                    Map.entry("group", ConsumerConfig.GROUP_ID_CONFIG),
                    Map.entry("instance_id", ConsumerConfig.GROUP_INSTANCE_ID_CONFIG),
                    Map.entry("auto_commit", ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG),
                    Map.entry(
                            "auto_commit_interval_ms",
                            ConsumerConfig.AUTO_COMMIT_INTERVAL_MS_CONFIG),
                    Map.entry("reset", ConsumerConfig.AUTO_OFFSET_RESET_CONFIG),
                    Map.entry("session_timeout_ms", ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG),
                    Map.entry("heartbeat_interval_ms", ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG),
                    Map.entry("max_poll_interval_ms", ConsumerConfig.MAX_POLL_INTERVAL_MS_CONFIG),
                    Map.entry("assignor", ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG),
                    Map.entry("isolation", ConsumerConfig.ISOLATION_LEVEL_CONFIG),
                    Map.entry("fetch_min_bytes", ConsumerConfig.FETCH_MIN_BYTES_CONFIG),
                    Map.entry("fetch_max_wait_ms", ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG),
                    Map.entry("fetch_max_bytes", ConsumerConfig.FETCH_MAX_BYTES_CONFIG),
                    Map.entry(
                            "partition_max_bytes", ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG),
                    Map.entry("max_poll_records", ConsumerConfig.MAX_POLL_RECORDS_CONFIG),
                    Map.entry("check_crcs", ConsumerConfig.CHECK_CRCS_CONFIG),
                    Map.entry(
                            "allow_auto_create_topics",
                            ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG));

    private static final Map<String, Class<?>> ASSIGNORS =
            Map.of(
                    "range", RangeAssignor.class,
                    "roundrobin", RoundRobinAssignor.class,
                    "sticky", StickyAssignor.class,
                    "cooperative", CooperativeStickyAssignor.class);

    /** Java's murmur2 of keys is what the client does by itself. */
    private static final Set<String> PARTITIONERS = Set.of("default", "java", "murmur2");

    private Settings() {}

    static Properties producer(Fields config) {
        Properties made = new Properties();
        for (String name : config.names()) {
            if (name.equals("partitioner") && config.has(name)) {
                if (!PARTITIONERS.contains(config.text(name))) {
                    throw Refusal.unsupported("the client has no such partitioner");
                }
            } else {
                set(made, config, name, PRODUCER, ProducerConfig.configNames());
            }
        }
        return made;
    }

    static Properties consumer(Fields config) {
        Properties made = new Properties();
        for (String name : config.names()) {
            set(made, config, name, CONSUMER, ConsumerConfig.configNames());
        }
        if (config.has("assignor")) {
            Class<?> assignor = ASSIGNORS.get(config.text("assignor"));
            if (assignor == null) {
                throw Refusal.unsupported("the client has no such assignor");
            }
            made.setProperty(
                    ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG, assignor.getName());
        }
        return made;
    }

    static Properties admin(Fields config) {
        Properties made = new Properties();
        for (String name : config.names()) {
            set(made, config, name, Map.of(), AdminClientConfig.configNames());
        }
        return made;
    }

    private static void set(
            Properties made,
            Fields config,
            String name,
            Map<String, String> own,
            Set<String> ofThisVersion) {
        Map<String, String> all = new HashMap<>(COMMON);
        all.putAll(own);
        String key = all.get(name);
        if (config.has(name)) {
            if (key == null || !ofThisVersion.contains(key)) {
                throw Refusal.unsupported("the client has no setting " + name);
            }
            made.setProperty(key, config.setting(name));
        }
    }
}
