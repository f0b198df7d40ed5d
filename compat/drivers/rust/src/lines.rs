//! The driver's half of the line protocol: one thread for each handle does its commands in order.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{json, Value};

use crate::errors::{bad_command, Error, Outcome};

/// What a handle names.
pub trait Handle {
    /// Does one command, by the second word of its op.
    fn work(&mut self, verb: &str, fields: &Value) -> Outcome;
}

pub type Open = fn(kind: &str, fields: &Value) -> Outcome<Box<dyn Handle>>;

struct Opened {
    kind: String,
    commands: Sender<Value>,
}

type Handles = Arc<Mutex<HashMap<String, Opened>>>;

fn write(message: Value) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{message}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1); // nobody listens
    }
}

fn answer(command: &Value, outcome: Outcome) {
    let id = &command["id"];
    write(match outcome {
        Ok(result) => json!({"id": id, "ok": true, "result": result}),
        Err(error) => json!({"id": id, "ok": false, "error": error.to_json()}),
    })
}

/// Reads commands until standard input ends, and then ends the process at once.
pub fn run(hello: Value, open: Open) -> ! {
    write(json!({ "hello": hello }));
    let handles: Handles = Arc::default();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str::<Value>(&line) {
            Ok(command) => {
                if let Err(error) = dispatch(&handles, open, &command) {
                    answer(&command, Err(error));
                }
            }
            Err(error) => answer(&Value::Null, Err(bad_command(error.to_string()))),
        }
    }
    std::process::exit(0)
}

fn dispatch(handles: &Handles, open: Open, command: &Value) -> Outcome<()> {
    let op = command["op"].as_str().unwrap_or_default();
    let (kind, verb) = op
        .split_once('.')
        .filter(|(kind, _)| ["producer", "consumer", "admin"].contains(kind))
        .ok_or_else(|| bad_command(format!("no op {op:?}")))?;
    let handle = command["handle"].as_str();
    let name = handle.ok_or_else(|| bad_command("no handle"))?.to_string();
    let mut opened = handles.lock().unwrap();
    if verb == "open" {
        if opened.contains_key(&name) {
            return Err(bad_command(format!("handle {name:?} is open")));
        }
        let (commands, waiting) = channel();
        let kind = kind.to_string();
        opened.insert(name.clone(), Opened { kind: kind.clone(), commands });
        let (handles, opening) = (handles.clone(), command.clone());
        thread::spawn(move || serve(&handles, &name, &kind, open, opening, waiting));
        return Ok(());
    }
    let gone = || bad_command(format!("no {kind} {name:?} is open"));
    let at = opened.get(&name).filter(|at| at.kind == kind).ok_or_else(gone)?;
    at.commands.send(command.clone()).map_err(|_| gone())
}

/// One handle's commands, from its open to its close.
fn serve(
    handles: &Handles,
    name: &str,
    kind: &str,
    open: Open,
    opening: Value,
    waiting: Receiver<Value>,
) {
    let forget = || {
        handles.lock().unwrap().remove(name);
    };
    let mut handle = match open(kind, &opening) {
        Ok(handle) => handle,
        Err(error) => {
            forget();
            answer(&opening, Err(error));
            return refuse(waiting, name);
        }
    };
    answer(&opening, Ok(json!({})));
    while let Ok(command) = waiting.recv() {
        let op = command["op"].as_str().unwrap_or_default();
        let verb = op.split_once('.').map_or("", |(_, verb)| verb);
        let outcome = handle.work(verb, &command);
        if verb == "close" {
            drop(handle);
            forget();
            answer(&command, outcome);
            return refuse(waiting, name);
        }
        answer(&command, outcome);
    }
}

/// Answers what was sent to a handle that is not open any more.
fn refuse(waiting: Receiver<Value>, name: &str) {
    for command in waiting {
        answer(&command, Err(bad_command(format!("handle {name:?} is closed"))));
    }
}

pub fn no_such(verb: &str) -> Error {
    crate::errors::unsupported(format!("rdkafka has no {verb}"))
}
