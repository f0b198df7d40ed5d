//! The driver of the rdkafka crate, which is librdkafka underneath.

mod admin;
mod buffer;
mod consumer;
mod errors;
mod lines;
mod producer;
mod records;
mod settings;

use serde_json::json;

const CAPABILITIES: &[&str] = &[
    "produce",
    "consume",
    "groups",
    "headers",
    "timestamps",
    "idempotent",
    "acks0",
    "regex",
    "static_membership",
    "cooperative",
    "range",
    "roundrobin",
    "auto_commit",
    "auto_commit_interval",
    "manual_commit",
    "offsets_for_times",
    "pause",
    "reset_none",
    "isolation",
    "gzip",
    "snappy",
    "lz4",
    "zstd",
    "partitioner_java",
    "partitioner_librdkafka",
    "partitions_explicit",
    "events",
];

/// As Cargo.toml pins it; the crate does not tell.
const VERSION: &str = "0.39.0";

fn main() {
    let mut capabilities: Vec<String> = CAPABILITIES.iter().map(|c| c.to_string()).collect();
    capabilities.extend(admin::OPERATIONS.iter().map(|op| format!("admin.{op}")));
    let librdkafka = rdkafka::util::get_rdkafka_version().1;
    lines::run(
        json!({
            "client": "rdkafka",
            "version": format!("{VERSION} (librdkafka {librdkafka})"),
            "language": "rust",
            "partitioner": "librdkafka",
            "capabilities": capabilities,
        }),
        |kind, fields| match kind {
            "producer" => producer::open(fields),
            "consumer" => consumer::open(fields),
            "admin" => admin::open(fields),
            _ => Err(errors::bad_command(format!("no op {kind}.open"))),
        },
    )
}
