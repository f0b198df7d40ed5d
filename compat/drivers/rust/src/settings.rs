//! Settings, by the names that librdkafka has for them.

use rdkafka::ClientConfig;
use serde_json::Value;

use crate::errors::{bad_command, unsupported, Outcome};

type Names = &'static [(&'static str, &'static str)];

const CLIENT: Names = &[
    ("bootstrap", "bootstrap.servers"),
    ("client_id", "client.id"),
    ("request_timeout_ms", "socket.timeout.ms"),
    // metadata.max.age.ms is when an entry is forgotten; this is when it is asked for again.
    ("metadata_max_age_ms", "topic.metadata.refresh.interval.ms"),
    ("rack", "client.rack"),
];
const PRODUCER: Names = &[
    ("acks", "acks"),
    ("idempotent", "enable.idempotence"),
    ("compression", "compression.type"),
    ("linger_ms", "linger.ms"),
    ("batch_bytes", "batch.size"),
    ("max_in_flight", "max.in.flight.requests.per.connection"),
    ("retries", "retries"),
    ("retry_backoff_ms", "retry.backoff.ms"),
    ("delivery_timeout_ms", "delivery.timeout.ms"),
    ("max_request_bytes", "message.max.bytes"),
    ("partitioner", "partitioner"),
];
const CONSUMER: Names = &[
    ("group", "group.id"),
    ("instance_id", "group.instance.id"),
    ("auto_commit", "enable.auto.commit"),
    ("auto_commit_interval_ms", "auto.commit.interval.ms"),
    ("reset", "auto.offset.reset"),
    ("session_timeout_ms", "session.timeout.ms"),
    ("heartbeat_interval_ms", "heartbeat.interval.ms"),
    ("max_poll_interval_ms", "max.poll.interval.ms"),
    ("assignor", "partition.assignment.strategy"),
    ("isolation", "isolation.level"),
    ("fetch_min_bytes", "fetch.min.bytes"),
    ("fetch_max_wait_ms", "fetch.wait.max.ms"),
    ("fetch_max_bytes", "fetch.max.bytes"),
    ("partition_max_bytes", "max.partition.fetch.bytes"),
    ("check_crcs", "check.crcs"),
    ("allow_auto_create_topics", "allow.auto.create.topics"),
];
/// Words of the protocol that librdkafka has others for; "" leaves its default.
const WORDS: &[(&str, &[(&str, &str)])] = &[
    (
        "partitioner",
        &[
            ("default", ""),
            ("java", "murmur2_random"),
            ("murmur2", "murmur2_random"),
            ("librdkafka", "consistent_random"),
        ],
    ),
    ("reset", &[("earliest", "earliest"), ("latest", "latest"), ("none", "error")]),
    (
        "assignor",
        &[("range", "range"), ("roundrobin", "roundrobin"), ("cooperative", "cooperative-sticky")],
    ),
];

fn named(fields: &Value, names: &[Names]) -> Outcome<ClientConfig> {
    let mut made = ClientConfig::new();
    let config = fields["config"].as_object().ok_or_else(|| bad_command("no config"))?;
    for (name, value) in config.iter().filter(|(_, value)| !value.is_null()) {
        let (_, theirs) = names
            .iter()
            .flat_map(|list| list.iter())
            .find(|(ours, _)| ours == name)
            .ok_or_else(|| unsupported(format!("setting {name}")))?;
        let told = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match WORDS.iter().find(|(setting, _)| setting == name) {
            None => {
                made.set(*theirs, told);
            }
            Some((_, words)) => match words.iter().find(|(word, _)| *word == told) {
                Some((_, "")) => {}
                Some((_, word)) => {
                    made.set(*theirs, *word);
                }
                None => return Err(unsupported(format!("{name} {told:?}"))),
            },
        }
    }
    Ok(made)
}

pub fn of_client(fields: &Value) -> Outcome<ClientConfig> {
    named(fields, &[CLIENT])
}

pub fn of_producer(fields: &Value) -> Outcome<ClientConfig> {
    let mut made = named(fields, &[CLIENT, PRODUCER])?;
    if let Some(timeout) = fields["config"]["request_timeout_ms"].as_i64() {
        // socket.timeout.ms is how long it waits; this is what it asks of the broker.
        made.set("request.timeout.ms", timeout.to_string());
    }
    Ok(made)
}

pub fn of_consumer(fields: &Value) -> Outcome<ClientConfig> {
    named(fields, &[CLIENT, CONSUMER])
}
