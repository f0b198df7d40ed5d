//! admin.*

use std::collections::BTreeMap;
use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{json, Value};

use crate::consumer::offsets_at;
use crate::errors::{bad_command, explain_code, unsupported, Error, Outcome};
use crate::lines::{no_such, Handle};
use crate::records::{by_partition, list, name_of, object, partitions, text, texts, PATIENCE};
use crate::settings;

/// What there is of it; list_offsets asks as a consumer does. alter_configs is left out: the crate
/// drops what each resource was answered, so that a refusal looks like success.
pub const OPERATIONS: &[&str] = &[
    "create_topics",
    "delete_topics",
    "create_partitions",
    "list_topics",
    "describe_topics",
    "describe_cluster",
    "describe_configs",
    "list_groups",
    "describe_groups",
    "delete_groups",
    "list_offsets",
    "delete_records",
];

struct Admin {
    client: AdminClient<DefaultClientContext>,
    config: ClientConfig,
    timeout: Option<Duration>,
}

pub fn open(fields: &Value) -> Outcome<Box<dyn Handle>> {
    let config = settings::of_client(fields)?;
    let timeout = fields["config"]["request_timeout_ms"].as_u64().map(Duration::from_millis);
    let client = config.create()?;
    Ok(Box::new(Admin { client, config, timeout }))
}

/// The result for each of several.
fn each(
    results: impl IntoIterator<Item = Result<String, (String, RDKafkaErrorCode)>>,
) -> BTreeMap<String, Value> {
    let told = results.into_iter().map(|one| match one {
        Ok(name) => (name, json!({})),
        Err((name, code)) => (name, failed(explain_code(code, code.to_string()))),
    });
    told.collect()
}

fn failed(error: Error) -> Value {
    json!({"error": error.to_json()})
}

fn replicas(value: &Value) -> Outcome<Vec<i32>> {
    let ids = value.as_array().ok_or_else(|| bad_command(format!("replicas {value}")))?;
    Ok(ids.iter().filter_map(Value::as_i64).map(|id| id as i32).collect())
}

impl Admin {
    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(self.timeout).operation_timeout(self.timeout)
    }

    fn create_topics(&self, fields: &Value) -> Outcome {
        let validate_only = fields["validate_only"].as_bool().unwrap_or(false);
        let options = self.options().validate_only(validate_only);
        let mut topics = BTreeMap::new();
        for one in list(fields, "topics")? {
            let name = text(one, "name")?;
            // A topic that the client refuses by itself stands alone with its error.
            match self.create_topic(name, one, &options) {
                Ok(told) => topics.extend(told),
                Err(error) => drop(topics.insert(name.to_string(), failed(error))),
            }
        }
        Ok(json!({ "topics": topics }))
    }

    fn create_topic(
        &self,
        name: &str,
        one: &Value,
        options: &AdminOptions,
    ) -> Outcome<BTreeMap<String, Value>> {
        let number = |field: &str| one[field].as_i64().unwrap_or(-1) as i32;
        let mut assigned = BTreeMap::new();
        for (partition, ids) in one["assignments"].as_object().into_iter().flatten() {
            let at: i32 = partition.parse().map_err(|_| bad_command(partition.as_str()))?;
            assigned.insert(at, replicas(ids)?);
        }
        let lists: Vec<&[i32]> = assigned.values().map(Vec::as_slice).collect();
        let (count, replication) = if lists.is_empty() {
            (number("partitions"), TopicReplication::Fixed(number("replication")))
        } else {
            (lists.len() as i32, TopicReplication::Variable(&lists))
        };
        let mut topic = NewTopic::new(name, count, replication);
        for (name, value) in one["configs"].as_object().into_iter().flatten() {
            let value = value.as_str().ok_or_else(|| unsupported(format!("{name} {value}")))?;
            topic = topic.set(name, value);
        }
        Ok(each(block_on(self.client.create_topics([&topic], options))?))
    }

    fn delete_topics(&self, fields: &Value) -> Outcome {
        let names = texts(fields, "topics")?;
        let results = block_on(self.client.delete_topics(&names, &self.options()))?;
        Ok(json!({"topics": each(results)}))
    }

    fn create_partitions(&self, fields: &Value) -> Outcome {
        let count = fields["count"].as_u64().ok_or_else(|| bad_command("no count"))? as usize;
        let assigned = fields["assignments"].as_array().into_iter().flatten();
        let owned = assigned.map(replicas).collect::<Outcome<Vec<_>>>()?;
        let lists: Vec<&[i32]> = owned.iter().map(Vec::as_slice).collect();
        let mut new = NewPartitions::new(text(fields, "topic")?, count);
        if !lists.is_empty() {
            new = new.assign(&lists);
        }
        for one in block_on(self.client.create_partitions([&new], &self.options()))? {
            one.map_err(|(_, code)| explain_code(code, code.to_string()))?;
        }
        Ok(json!({}))
    }

    fn list_topics(&self) -> Outcome {
        let metadata = self.client.inner().fetch_metadata(None, PATIENCE)?;
        let topics: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
        Ok(json!({ "topics": topics }))
    }

    fn describe_topics(&self, fields: &Value) -> Outcome {
        let asking: BaseConsumer<DefaultConsumerContext> = self.config.create()?;
        let mut topics = BTreeMap::new();
        for name in texts(fields, "topics")? {
            // As a consumer, which does not create the topics it asks for.
            let metadata = asking.fetch_metadata(Some(name), PATIENCE)?;
            for topic in metadata.topics() {
                let told = match topic.error() {
                    Some(error) => {
                        let code = RDKafkaErrorCode::from(error);
                        failed(explain_code(code, code.to_string()))
                    }
                    None => {
                        let mut all: Vec<_> = topic.partitions().iter().collect();
                        all.sort_by_key(|one| one.id());
                        let told: Vec<Value> = all
                            .iter()
                            .map(|one| {
                                json!({
                                    "partition": one.id(), "leader": one.leader(),
                                    "replicas": one.replicas(), "isr": one.isr(),
                                })
                            })
                            .collect();
                        json!({ "partitions": told })
                    }
                };
                topics.insert(topic.name().to_string(), told);
            }
        }
        Ok(json!({ "topics": topics }))
    }

    fn describe_cluster(&self) -> Outcome {
        let metadata = self.client.inner().fetch_metadata(None, PATIENCE)?;
        let brokers: Vec<Value> = metadata
            .brokers()
            .iter()
            .map(|one| json!({"id": one.id(), "host": one.host(), "port": one.port()}))
            .collect();
        let cluster = self.client.inner().fetch_cluster_id(PATIENCE);
        Ok(json!({"cluster_id": cluster, "brokers": brokers}))
    }

    fn describe_configs(&self, fields: &Value) -> Outcome {
        let asked = [specifier(fields)?];
        let mut configs = BTreeMap::new();
        for resource in block_on(self.client.describe_configs(&asked, &self.options()))? {
            let resource = resource.map_err(|code| explain_code(code, code.to_string()))?;
            for entry in resource.entries {
                let told = json!({
                    "value": entry.value, "source": source_name(&entry.source),
                    "default": entry.is_default, "sensitive": entry.is_sensitive,
                    "read_only": entry.is_read_only,
                });
                configs.insert(entry.name, told);
            }
        }
        Ok(json!({ "configs": configs }))
    }

    fn list_groups(&self, fields: &Value) -> Outcome {
        if !fields["states"].is_null() {
            return Err(unsupported("groups by state"));
        }
        let listed = self.client.inner().fetch_group_list(None, PATIENCE)?;
        let groups: Vec<Value> = listed
            .groups()
            .iter()
            .map(|one| {
                json!({
                    "group": one.name(), "state": one.state(),
                    "protocol_type": one.protocol_type(),
                })
            })
            .collect();
        Ok(json!({ "groups": groups }))
    }

    fn describe_groups(&self, fields: &Value) -> Outcome {
        let mut groups = BTreeMap::new();
        for name in texts(fields, "groups")? {
            let listed = self.client.inner().fetch_group_list(Some(name), PATIENCE)?;
            if listed.groups().is_empty() {
                let code = RDKafkaErrorCode::GroupIdNotFound;
                groups.insert(name.to_string(), failed(explain_code(code, code.to_string())));
            }
            for one in listed.groups() {
                let members: Vec<Value> = one
                    .members()
                    .iter()
                    .map(|m| {
                        json!({
                            "member_id": m.id(), "client_id": m.client_id(),
                            "assignment": m.assignment().and_then(assignment).unwrap_or_default(),
                        })
                    })
                    .collect();
                let told = json!({
                    "state": one.state(), "protocol": one.protocol(),
                    "protocol_type": one.protocol_type(), "members": members,
                });
                groups.insert(one.name().to_string(), told);
            }
        }
        Ok(json!({ "groups": groups }))
    }

    fn delete_groups(&self, fields: &Value) -> Outcome {
        let names = texts(fields, "groups")?;
        let results = block_on(self.client.delete_groups(&names, &self.options()))?;
        Ok(json!({"groups": each(results)}))
    }

    fn list_offsets(&self, fields: &Value) -> Outcome {
        let mut config = self.config.clone();
        if let Some(level) = fields["isolation"].as_str() {
            config.set("isolation.level", level);
        }
        let client: BaseConsumer<DefaultConsumerContext> = config.create()?;
        let mut offsets = BTreeMap::new();
        for (at, told) in offsets_at(&client, &partitions(fields)?, &fields["at"])? {
            let told = match told {
                Ok(offset) => json!({"offset": offset.unwrap_or(-1), "timestamp": null}),
                Err(error) => failed(error),
            };
            offsets.insert(name_of(&at), told);
        }
        Ok(json!({ "offsets": offsets }))
    }

    fn delete_records(&self, fields: &Value) -> Outcome {
        let mut asked = TopicPartitionList::new();
        for ((topic, partition), offset) in by_partition(&fields["offsets"])? {
            let offset = match offset.as_i64() {
                Some(-1) => Offset::End,
                Some(number) => Offset::Offset(number),
                None => return Err(bad_command(format!("offset {offset}"))),
            };
            asked.add_partition_offset(&topic, partition, offset)?;
        }
        let done = block_on(self.client.delete_records(&asked, &self.options()))?;
        let told = done.elements().into_iter().map(|one| {
            let name = name_of(&(one.topic().to_string(), one.partition()));
            match one.error() {
                Ok(()) => (name, json!({"low_watermark": one.offset().to_raw()})),
                Err(error) => (name, failed(error.into())),
            }
        });
        Ok(json!({"offsets": object(told)}))
    }
}

fn specifier(fields: &Value) -> Outcome<ResourceSpecifier<'_>> {
    let name = text(fields, "name")?;
    match text(fields, "type")? {
        "topic" => Ok(ResourceSpecifier::Topic(name)),
        "group" => Err(unsupported("configs of a group")),
        "broker" => name
            .parse()
            .map(ResourceSpecifier::Broker)
            .map_err(|_| bad_command(format!("broker {name}"))),
        other => Err(unsupported(format!("configs of a {other}"))),
    }
}

/// The partitions in a consumer's assignment, which the crate leaves in Kafka's bytes: a version,
/// then topics, each with a list of partitions.
fn assignment(bytes: &[u8]) -> Option<Vec<String>> {
    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (first, after) = rest.split_first_chunk()?;
        *rest = after;
        Some(*first)
    }
    let mut rest = bytes;
    take::<2>(&mut rest)?;
    let mut names = Vec::new();
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let size = i16::from_be_bytes(take(&mut rest)?);
        let (topic, after) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        let topic = std::str::from_utf8(topic).ok()?;
        rest = after;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            names.push(format!("{topic}-{}", i32::from_be_bytes(take(&mut rest)?)));
        }
    }
    Some(names)
}

fn source_name(source: &ConfigSource) -> &'static str {
    match source {
        ConfigSource::Unknown => "UNKNOWN",
        ConfigSource::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
        ConfigSource::Default => "DEFAULT_CONFIG",
    }
}

impl Handle for Admin {
    fn work(&mut self, verb: &str, fields: &Value) -> Outcome {
        match verb {
            "create_topics" => self.create_topics(fields),
            "delete_topics" => self.delete_topics(fields),
            "create_partitions" => self.create_partitions(fields),
            "list_topics" => self.list_topics(),
            "describe_topics" => self.describe_topics(fields),
            "describe_cluster" => self.describe_cluster(),
            "describe_configs" => self.describe_configs(fields),
            "list_groups" => self.list_groups(fields),
            "describe_groups" => self.describe_groups(fields),
            "delete_groups" => self.delete_groups(fields),
            "list_offsets" => self.list_offsets(fields),
            "delete_records" => self.delete_records(fields),
            "close" => Ok(json!({})),
            _ => Err(no_such(verb)),
        }
    }
}
