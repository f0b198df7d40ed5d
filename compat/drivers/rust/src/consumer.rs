//! consumer.*

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use serde_json::{json, Value};

use crate::buffer::Buffer;
use crate::errors::{bad_command, explain_code, unsupported, Error, Outcome};
use crate::lines::{no_such, Handle};
use crate::records::{
    by_partition, fetched, list, list_of, millis, name_of, object, offset_at, pairs,
    parse_partition, partitions, Partition, PATIENCE,
};
use crate::settings;

const MOST_POLLED: usize = 500;

struct Context {
    buffer: Arc<Buffer>,
    keeps: bool, // what was fetched is committed by the client
    is_new: Arc<AtomicBool>,
}

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let event = if consumer.assignment_lost() { "lost" } else { "revoked" };
            self.buffer.gone(event, &pairs(partitions), self.keeps);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                self.is_new.store(true, Ordering::SeqCst);
                self.buffer.assigned(&pairs(partitions));
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => self.buffer.failed(error.clone().into()),
        }
    }
}

/// The client and the thread that polls it.
struct Polled {
    client: BaseConsumer<Context>,
    buffer: Arc<Buffer>,
    is_new: Arc<AtomicBool>, // its assignment
    polling: Mutex<()>,
    wanted: AtomicUsize, // by commands, while no poll runs
    over: AtomicBool,
}

struct Consuming {
    polled: Arc<Polled>,
    thread: Option<JoinHandle<()>>,
}

static WITHOUT_GROUP: AtomicUsize = AtomicUsize::new(0);

pub fn open(fields: &Value) -> Outcome<Box<dyn Handle>> {
    let mut config = settings::of_consumer(fields)?;
    let has_group = config.get("group.id").is_some();
    if fields["assign"].is_array() && !has_group {
        // It assigns nothing without a group; this one is never joined, nor committed to.
        let number = WITHOUT_GROUP.fetch_add(1, Ordering::SeqCst);
        config.set("group.id", format!("none-{}-{number}", std::process::id()));
        config.set("enable.auto.commit", "false");
    }
    let (buffer, is_new) = (Arc::<Buffer>::default(), Arc::<AtomicBool>::default());
    let client: BaseConsumer<Context> = config.create_with_context(Context {
        buffer: buffer.clone(),
        keeps: config.get("enable.auto.commit") != Some("false"),
        is_new: is_new.clone(),
    })?;
    begin(&client, &buffer, fields, has_group)?;
    let polled = Arc::new(Polled {
        client,
        buffer,
        is_new,
        polling: Mutex::default(),
        wanted: AtomicUsize::default(),
        over: AtomicBool::default(),
    });
    let running = polled.clone();
    let thread = Some(thread::spawn(move || running.run()));
    Ok(Box::new(Consuming { polled, thread }))
}

fn begin(
    client: &BaseConsumer<Context>,
    buffer: &Buffer,
    fields: &Value,
    has_group: bool,
) -> Outcome<()> {
    if let Some(topics) = fields["topics"].as_array() {
        let names: Vec<&str> = topics.iter().filter_map(Value::as_str).collect();
        return Ok(client.subscribe(&names)?);
    }
    if let Some(pattern) = fields["pattern"].as_str() {
        // What begins with ^ is a pattern to it, and anything else a name.
        let pattern = format!("^{}", pattern.trim_start_matches('^'));
        return Ok(client.subscribe(&[&pattern])?);
    }
    let mut assignment = TopicPartitionList::new();
    let mut chosen = Vec::new();
    for one in list(fields, "assign")? {
        let at = parse_partition(one)?;
        let offset = offset_at(&one["offset"])?;
        if offset == Offset::Stored && !has_group {
            return Err(unsupported("assigned at what is committed, without a group"));
        }
        if let Offset::Offset(number) = offset {
            buffer.sought(&at, Some(number));
        }
        assignment.add_partition_offset(&at.0, at.1, offset)?;
        chosen.push(at);
    }
    buffer.chosen(&chosen);
    Ok(client.assign(&assignment)?)
}

impl Polled {
    /// The application's loop.
    fn run(&self) {
        let mut is_resting = false;
        while !self.over.load(Ordering::SeqCst) {
            if self.wanted.load(Ordering::SeqCst) > 0 {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            let _polling = self.polling.lock().unwrap();
            let rested = self.rest(&mut is_resting);
            match rested.map_err(Error::from).and_then(|()| self.poll()) {
                Ok(()) => {}
                Err(error) => {
                    let is_fatal = error.fatal;
                    self.buffer.failed(error);
                    if is_fatal {
                        return;
                    }
                }
            }
        }
    }

    /// Pauses the assignment while the buffer is full: not polling would end the membership.
    fn rest(&self, is_resting: &mut bool) -> Result<(), KafkaError> {
        let is_full = self.buffer.is_full();
        let is_new = self.is_new.swap(false, Ordering::SeqCst);
        if is_full && (!*is_resting || is_new) {
            self.client.pause(&self.client.assignment()?)?;
            *is_resting = true;
        } else if !is_full && *is_resting {
            let all = pairs(&self.client.assignment()?);
            let resumed = all.iter().filter(|at| !self.buffer.is_paused(at));
            self.client.resume(&list_of(resumed))?;
            *is_resting = false;
        }
        Ok(())
    }

    fn poll(&self) -> Outcome<()> {
        let mut patience = Duration::from_millis(50);
        for _ in 0..MOST_POLLED {
            match self.client.poll(patience) {
                None => break,
                Some(Ok(message)) => self.buffer.push(fetched(&message)),
                Some(Err(error)) => return Err(self.explain(error)),
            }
            patience = Duration::ZERO;
        }
        Ok(())
    }

    /// Of a fatal state the client tells the reason beside.
    fn explain(&self, error: KafkaError) -> Error {
        if let Some((code, reason)) = self.client.client().fatal_error() {
            return Error { fatal: true, ..explain_code(code, reason) };
        }
        error.into()
    }

    /// Does something while no poll runs.
    fn between<T>(&self, work: impl FnOnce() -> T) -> T {
        self.wanted.fetch_add(1, Ordering::SeqCst);
        let polling = self.polling.lock().unwrap();
        let done = work();
        drop(polling);
        self.wanted.fetch_sub(1, Ordering::SeqCst);
        done
    }

    fn commit(&self, fields: &Value) -> Outcome {
        let mut offsets = TopicPartitionList::new();
        if fields["offsets"].is_null() {
            for ((topic, partition), offset) in self.buffer.taken() {
                offsets.add_partition_offset(&topic, partition, Offset::Offset(offset))?;
            }
        } else {
            for ((topic, partition), one) in by_partition(&fields["offsets"])? {
                let offset = one["offset"].as_i64().ok_or_else(|| bad_command("no offset"))?;
                let mut added = offsets.add_partition(&topic, partition);
                added.set_offset(Offset::Offset(offset))?;
                if let Some(metadata) = one["metadata"].as_str() {
                    added.set_metadata(metadata);
                }
            }
        }
        if offsets.count() > 0 {
            self.client.commit(&offsets, CommitMode::Sync)?;
        }
        Ok(json!({}))
    }

    fn committed(&self, fields: &Value) -> Outcome {
        let asked = list_of(&partitions(fields)?);
        let told = self.client.committed_offsets(asked, PATIENCE)?;
        let mut offsets = BTreeMap::new();
        for one in told.elements() {
            one.error()?;
            let at = (one.topic().to_string(), one.partition());
            let committed = match one.offset() {
                Offset::Offset(offset) => json!({"offset": offset, "metadata": one.metadata()}),
                _ => Value::Null,
            };
            offsets.insert(name_of(&at), committed);
        }
        Ok(json!({ "offsets": offsets }))
    }

    fn seek(&self, fields: &Value) -> Outcome {
        let at = parse_partition(&fields["partition"])?;
        let offset = offset_at(&fields["offset"])?;
        self.between(|| {
            self.client.seek(&at.0, at.1, offset, PATIENCE)?;
            self.buffer.sought(&at, fields["offset"].as_i64());
            Ok(json!({}))
        })
    }

    fn drain(&self, fields: &Value) -> Outcome {
        let (mut count, mut bytes, mut in_order) = (0, 0, true);
        let mut spans = BTreeMap::<Partition, (i64, i64, u64)>::new();
        let began = Instant::now();
        self.buffer.take(wanted(fields)?, millis(fields, "timeout_ms"), |one| {
            count += 1;
            bytes += one.size;
            let span = spans.entry(one.at).or_insert((one.offset, -1, 0));
            in_order &= one.offset > span.1;
            *span = (span.0, one.offset, span.2 + 1);
        });
        let told = spans.iter().map(|(at, (first, last, count))| {
            (name_of(at), json!({"first": first, "last": last, "count": count}))
        });
        Ok(json!({
            "count": count, "bytes": bytes, "in_order": in_order, "partitions": object(told),
            "elapsed_ms": began.elapsed().as_secs_f64() * 1000.0,
        }))
    }
}

fn wanted(fields: &Value) -> Outcome<usize> {
    fields["count"].as_u64().map(|n| n as usize).ok_or_else(|| bad_command("no count"))
}

/// Offsets by partition at "earliest", "latest" or a time; None of none that late.
pub fn offsets_at<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    asked: &[Partition],
    at: &Value,
) -> Outcome<Vec<(Partition, Outcome<Option<i64>>)>> {
    let mut found = Vec::new();
    if let Some(time) = at.as_i64() {
        let mut times = TopicPartitionList::new();
        for (topic, partition) in asked {
            times.add_partition_offset(topic, *partition, Offset::Offset(time))?;
        }
        for one in client.offsets_for_times(times, PATIENCE)?.elements() {
            let offset = match one.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None, // it says of none later what it says of the end
            };
            let told = one.error().map(|()| offset).map_err(Error::from);
            found.push(((one.topic().to_string(), one.partition()), told));
        }
        return Ok(found);
    }
    let is_first = match at.as_str() {
        Some("earliest") => true,
        Some("latest") => false,
        _ => return Err(unsupported(format!("offsets at {at}"))),
    };
    for (topic, partition) in asked {
        let marks = client.fetch_watermarks(topic, *partition, PATIENCE);
        let told = marks.map(|(low, high)| Some(if is_first { low } else { high }));
        found.push(((topic.clone(), *partition), told.map_err(Error::from)));
    }
    Ok(found)
}

impl Handle for Consuming {
    fn work(&mut self, verb: &str, fields: &Value) -> Outcome {
        let (polled, buffer) = (&self.polled, &self.polled.buffer);
        match verb {
            "take" => {
                let mut records = Vec::new();
                let timeout = millis(fields, "timeout_ms");
                buffer.take(wanted(fields)?, timeout, |one| records.push(one.line));
                Ok(json!({ "records": records }))
            }
            "drain" => polled.drain(fields),
            "events" => {
                Ok(buffer.events(fields["wait_for"].as_str(), millis(fields, "timeout_ms")))
            }
            "commit" => polled.commit(fields),
            "committed" => polled.committed(fields),
            "position" => {
                let known = partitions(fields)?.into_iter();
                let told =
                    known.filter_map(|at| Some((name_of(&at), json!(buffer.position(&at)?))));
                Ok(json!({"offsets": object(told)}))
            }
            "seek" => polled.seek(fields),
            "pause" => {
                let asked = partitions(fields)?;
                buffer.pause(&asked);
                polled.between(|| polled.client.pause(&list_of(&asked)))?;
                Ok(json!({}))
            }
            "resume" => {
                let asked = partitions(fields)?;
                buffer.resume(&asked);
                polled.between(|| polled.client.resume(&list_of(&asked)))?;
                Ok(json!({}))
            }
            "offsets" => {
                let mut offsets = BTreeMap::new();
                for (at, told) in offsets_at(&polled.client, &partitions(fields)?, &fields["at"])? {
                    let offset = told?.map(|offset| json!({"offset": offset, "timestamp": null}));
                    offsets.insert(name_of(&at), offset);
                }
                Ok(json!({ "offsets": offsets }))
            }
            "close" => Ok(json!({})), // dropping it leaves the group
            _ => Err(no_such(verb)),
        }
    }
}

impl Drop for Consuming {
    fn drop(&mut self) {
        self.polled.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the poll ends without a panic");
        }
    }
}
