//! Records and partitions between JSON and the client.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::prelude::{Engine, BASE64_STANDARD};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, Timestamp, TopicPartitionList};
use serde_json::{json, Value};

use crate::errors::{bad_command, unsupported, Outcome};

pub type Partition = (String, i32);

/// How long a call on the cluster may take that the client gives no time of its own.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn encode(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| json!(BASE64_STANDARD.encode(bytes)))
}

pub fn decode(value: &Value) -> Outcome<Option<Vec<u8>>> {
    match value.as_str() {
        None => Ok(None),
        Some(text) => {
            BASE64_STANDARD.decode(text).map(Some).map_err(|error| bad_command(error.to_string()))
        }
    }
}

pub fn text<'a>(fields: &'a Value, name: &str) -> Outcome<&'a str> {
    fields[name].as_str().ok_or_else(|| bad_command(format!("no {name}")))
}

pub fn list<'a>(fields: &'a Value, name: &str) -> Outcome<&'a Vec<Value>> {
    fields[name].as_array().ok_or_else(|| bad_command(format!("no {name}")))
}

pub fn texts<'a>(fields: &'a Value, name: &str) -> Outcome<Vec<&'a str>> {
    list(fields, name)?
        .iter()
        .map(|one| one.as_str().ok_or_else(|| bad_command(format!("{name}: {one}"))))
        .collect()
}

pub fn millis(fields: &Value, name: &str) -> Duration {
    Duration::from_secs_f64(fields[name].as_f64().unwrap_or(0.0).max(0.0) / 1000.0)
}

pub fn name_of((topic, partition): &Partition) -> String {
    format!("{topic}-{partition}")
}

pub fn parse_name(name: &str) -> Outcome<Partition> {
    name.rsplit_once('-')
        .and_then(|(topic, number)| Some((topic.to_string(), number.parse().ok()?)))
        .ok_or_else(|| bad_command(format!("{name:?} is no partition")))
}

pub fn partition_json((topic, partition): &Partition) -> Value {
    json!({"topic": topic, "partition": partition})
}

pub fn parse_partition(value: &Value) -> Outcome<Partition> {
    let number = value["partition"].as_i64().and_then(|n| i32::try_from(n).ok());
    Ok((
        text(value, "topic")?.to_string(),
        number.ok_or_else(|| bad_command(format!("{value} is no partition")))?,
    ))
}

pub fn partitions(fields: &Value) -> Outcome<Vec<Partition>> {
    list(fields, "partitions")?.iter().map(parse_partition).collect()
}

/// Fields that are by partition, such as `{"t-0": ...}`.
pub fn by_partition(value: &Value) -> Outcome<Vec<(Partition, &Value)>> {
    value
        .as_object()
        .ok_or_else(|| bad_command("no offsets"))?
        .iter()
        .map(|(name, one)| Ok((parse_name(name)?, one)))
        .collect()
}

pub fn list_of<'a>(partitions: impl IntoIterator<Item = &'a Partition>) -> TopicPartitionList {
    let mut made = TopicPartitionList::new();
    for (topic, partition) in partitions {
        made.add_partition(topic, *partition);
    }
    made
}

pub fn pairs(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|one| (one.topic().to_string(), one.partition())).collect()
}

/// Where to begin: a number, "earliest", "latest" or "committed".
pub fn offset_at(value: &Value) -> Outcome<Offset> {
    match (value.as_i64(), value.as_str()) {
        (Some(number), _) => Ok(Offset::Offset(number)),
        (_, Some("earliest")) => Ok(Offset::Beginning),
        (_, Some("latest")) => Ok(Offset::End),
        (_, Some("committed")) => Ok(Offset::Stored),
        _ => Err(unsupported(format!("offset {value}"))),
    }
}

/// A record that waits to be taken.
pub struct Fetched {
    pub at: Partition,
    pub offset: i64,
    pub size: usize,
    pub line: Value,
}

pub fn fetched(message: &BorrowedMessage<'_>) -> Fetched {
    let mut headers = Vec::new();
    if let Some(all) = message.headers() {
        for header in all.iter() {
            headers.push(json!([header.key, encode(header.value)]));
        }
    }
    let mut line = json!({
        "topic": message.topic(), "partition": message.partition(), "offset": message.offset(),
        "key": encode(message.key()), "value": encode(message.payload()), "headers": headers,
        "timestamp": message.timestamp().to_millis(),
    });
    match message.timestamp() {
        Timestamp::CreateTime(_) => line["timestamp_type"] = json!("create"),
        Timestamp::LogAppendTime(_) => line["timestamp_type"] = json!("append"),
        Timestamp::NotAvailable => {}
    }
    Fetched {
        at: (message.topic().to_string(), message.partition()),
        offset: message.offset(),
        size: message.payload().map_or(0, <[u8]>::len),
        line,
    }
}

pub fn object(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    json!(entries.into_iter().collect::<BTreeMap<String, Value>>())
}
