//! producer.*

use std::collections::BTreeMap;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::ClientContext;
use serde_json::{json, Value};

use crate::errors::{bad_command, Error, Outcome};
use crate::lines::{no_such, Handle};
use crate::records::{decode, list, text};
use crate::settings;

/// Where a record went, or why it did not.
type Landed = Result<(i32, i64, Option<i64>), Error>;

/// Goes with a record, and comes back with its answer.
struct Sending {
    number: usize,
    answers: Sender<(usize, Landed)>,
}

struct Context;

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Sending>;

    fn delivery(&self, result: &DeliveryResult<'_>, sending: Box<Sending>) {
        let landed = match result {
            Ok(message) => Ok((
                message.partition(),
                message.offset().max(-1), // below that it knows of none
                message.timestamp().to_millis(),
            )),
            Err((error, _)) => Err(Error::from(error.clone())),
        };
        // Who has stopped waiting does not want to know.
        let _ = sending.answers.send((sending.number, landed));
    }
}

struct Producing {
    client: ThreadedProducer<Context>,
}

pub fn open(fields: &Value) -> Outcome<Box<dyn Handle>> {
    let client = settings::of_producer(fields)?.create_with_context(Context)?;
    Ok(Box::new(Producing { client }))
}

struct Outgoing {
    topic: String,
    partition: Option<i32>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: Option<i64>,
}

fn parse(record: &Value) -> Outcome<Outgoing> {
    let mut headers = Vec::new();
    for header in record["headers"].as_array().into_iter().flatten() {
        let name = header[0].as_str().ok_or_else(|| bad_command("a header without a name"))?;
        headers.push((name.to_string(), decode(&header[1])?));
    }
    Ok(Outgoing {
        topic: text(record, "topic")?.to_string(),
        partition: record["partition"].as_i64().map(|n| n as i32),
        key: decode(&record["key"])?,
        value: decode(&record["value"])?,
        headers,
        timestamp: record["timestamp"].as_i64(),
    })
}

impl Producing {
    /// Hands one record to the client, which answers once.
    fn begin(&self, record: &Outgoing, number: usize, answers: &Sender<(usize, Landed)>) {
        let answers = answers.clone();
        let sending = Box::new(Sending { number, answers });
        let mut made: BaseRecord<'_, [u8], [u8], Box<Sending>> =
            BaseRecord::with_opaque_to(&record.topic, sending);
        if let Some(partition) = record.partition {
            made = made.partition(partition);
        }
        if let Some(key) = &record.key {
            made = made.key(key.as_slice());
        }
        if let Some(value) = &record.value {
            made = made.payload(value.as_slice());
        }
        if let Some(timestamp) = record.timestamp {
            made = made.timestamp(timestamp);
        }
        if !record.headers.is_empty() {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &record.headers {
                headers = headers.insert(Header { key, value: value.as_deref() });
            }
            made = made.headers(headers);
        }
        while let Err((error, refused)) = self.client.send(made) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                let sending = refused.delivery_opaque;
                // The receiver is the caller's, and is there.
                let _ = sending.answers.send((number, Err(error.into())));
                return;
            }
            sleep(Duration::from_millis(5)); // its queue empties in the background
            made = refused;
        }
    }

    fn send(&self, fields: &Value) -> Outcome {
        let records = list(fields, "records")?.iter().map(parse).collect::<Outcome<Vec<_>>>()?;
        let each = fields["each"].as_bool().unwrap_or(false);
        let (answers, came) = channel();
        let mut sent = vec![Value::Null; records.len()];
        let note = |sent: &mut Vec<Value>, came: &Receiver<(usize, Landed)>| {
            let (number, landed) = came.recv().expect("the client answers each record");
            sent[number] = match landed {
                Ok((partition, offset, timestamp)) => {
                    json!({"partition": partition, "offset": offset, "timestamp": timestamp})
                }
                Err(error) => json!({"error": error.to_json()}),
            };
        };
        for (number, record) in records.iter().enumerate() {
            self.begin(record, number, &answers);
            if each {
                note(&mut sent, &came);
            }
        }
        if !each {
            for _ in &records {
                note(&mut sent, &came);
            }
        }
        Ok(json!({ "sent": sent }))
    }

    fn fill(&self, fields: &Value) -> Outcome {
        let topic = text(fields, "topic")?;
        let prefix = text(fields, "prefix")?;
        let count = fields["count"].as_u64().ok_or_else(|| bad_command("no count"))? as usize;
        let size = fields["size"].as_u64().ok_or_else(|| bad_command("no size"))? as usize;
        let keys = fields["keys"].as_u64().filter(|n| *n > 0).map(|n| n as usize);
        let (answers, came) = channel();
        let began = Instant::now();
        for number in 0..count {
            let mut value = format!("{prefix}-{number}").into_bytes();
            value.resize(size.max(value.len()), b'.');
            let record = Outgoing {
                topic: topic.to_string(),
                partition: fields["partition"].as_i64().map(|n| n as i32),
                key: keys.map(|n| format!("k{}", number % n).into_bytes()),
                value: Some(value),
                headers: Vec::new(),
                timestamp: None,
            };
            self.begin(&record, number, &answers);
        }
        let (mut acked, mut failed) = (0, 0);
        let mut errors = BTreeMap::<String, u64>::new();
        let mut offsets = BTreeMap::<String, [i64; 2]>::new();
        for (_, landed) in came.iter().take(count) {
            match landed {
                Ok((partition, offset, _)) => {
                    acked += 1;
                    let span = offsets.entry(partition.to_string()).or_insert([offset, offset]);
                    *span = [span[0].min(offset), span[1].max(offset)];
                }
                Err(error) => {
                    failed += 1;
                    *errors.entry(error.code).or_default() += 1;
                }
            }
        }
        Ok(json!({
            "acked": acked, "failed": failed, "errors": errors, "offsets": offsets,
            "elapsed_ms": began.elapsed().as_secs_f64() * 1000.0,
        }))
    }
}

impl Handle for Producing {
    fn work(&mut self, verb: &str, fields: &Value) -> Outcome {
        match verb {
            "send" => self.send(fields),
            "fill" => self.fill(fields),
            "flush" => {
                self.client.flush(rdkafka::util::Timeout::Never)?;
                Ok(json!({}))
            }
            "close" => Ok(json!({})), // dropping it is closing it
            _ => Err(no_such(verb)),
        }
    }
}
