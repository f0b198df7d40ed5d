//! What a consumer's poll brought, until it is taken, and what happened to its assignment.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::errors::Error;
use crate::records::{partition_json, Fetched, Partition};

const MOST_RECORDS: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;
const MOST_EVENTS: usize = 1000;

#[derive(Default)]
struct State {
    waiting: VecDeque<Fetched>,
    bytes: usize,
    held: HashMap<Partition, Vec<Fetched>>, // of paused partitions
    next: HashMap<Partition, i64>,          // after what was taken
    sought: HashMap<Partition, i64>,        // and nothing taken since
    assigned: HashSet<Partition>,
    events: Vec<Value>,
    failing: Option<Error>, // the last poll's error
}

#[derive(Default)]
pub struct Buffer {
    state: Mutex<State>,
    changed: Condvar,
}

impl State {
    /// Takes out what waits of a partition.
    fn remove(&mut self, at: &Partition) -> Vec<Fetched> {
        let (removed, kept): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|one| one.at == *at);
        self.waiting = kept.into();
        self.bytes -= removed.iter().map(|one| one.size).sum::<usize>();
        removed
    }

    fn put_in_front(&mut self, records: Vec<Fetched>) {
        self.bytes += records.iter().map(|one| one.size).sum::<usize>();
        for one in records.into_iter().rev() {
            self.waiting.push_front(one);
        }
    }

    fn note(&mut self, event: Value) {
        if self.events.len() < MOST_EVENTS {
            self.events.push(event);
        }
    }
}

impl Buffer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, work: impl FnOnce(&mut State)) {
        work(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits for a change, and says whether the time is over.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        end: Instant,
    ) -> (MutexGuard<'a, State>, bool) {
        let left = end.saturating_duration_since(Instant::now());
        let (state, _) = self.changed.wait_timeout(state, left).unwrap();
        (state, Instant::now() >= end)
    }

    pub fn push(&self, one: Fetched) {
        self.change(|state| {
            state.failing = None;
            match state.held.get_mut(&one.at) {
                Some(held) => held.push(one),
                None => {
                    state.bytes += one.size;
                    state.waiting.push_back(one);
                }
            }
        });
    }

    /// Whether fetching should rest.
    pub fn is_full(&self) -> bool {
        let state = self.state();
        state.waiting.len() >= MOST_RECORDS || state.bytes >= MOST_BYTES
    }

    /// Waits for so many records, or until the time is over, and gives each to `visit`.
    pub fn take(&self, count: usize, timeout: Duration, mut visit: impl FnMut(Fetched)) {
        let end = Instant::now() + timeout;
        let mut left = count;
        let mut state = self.state();
        loop {
            while left > 0 {
                let Some(one) = state.waiting.pop_front() else { break };
                state.bytes -= one.size;
                state.next.insert(one.at.clone(), one.offset + 1);
                state.sought.remove(&one.at);
                left -= 1;
                visit(one);
            }
            if left == 0 || Instant::now() >= end {
                return;
            }
            (state, _) = self.wait(state, end);
        }
    }

    pub fn pause(&self, partitions: &[Partition]) {
        self.change(|state| {
            for at in partitions {
                if !state.held.contains_key(at) {
                    let held = state.remove(at);
                    state.held.insert(at.clone(), held);
                }
            }
        });
    }

    pub fn resume(&self, partitions: &[Partition]) {
        self.change(|state| {
            for at in partitions {
                let held = state.held.remove(at).unwrap_or_default();
                state.put_in_front(held);
            }
        });
    }

    pub fn is_paused(&self, at: &Partition) -> bool {
        self.state().held.contains_key(at)
    }

    /// Drops what was fetched of a partition; taking goes on elsewhere, where that is known.
    pub fn sought(&self, at: &Partition, offset: Option<i64>) {
        self.change(|state| {
            state.remove(at);
            if let Some(held) = state.held.get_mut(at) {
                held.clear();
            }
            state.next.remove(at);
            state.sought.remove(at);
            if let Some(offset) = offset {
                state.sought.insert(at.clone(), offset);
            }
        });
    }

    /// Where each partition of the assignment goes on that something was taken of.
    pub fn taken(&self) -> Vec<(Partition, i64)> {
        let state = self.state();
        let assigned = |at: &Partition| state.assigned.contains(at);
        let taken = state.next.iter().filter(|(at, _)| assigned(at));
        taken.map(|(at, offset)| (at.clone(), *offset)).collect()
    }

    pub fn position(&self, at: &Partition) -> Option<i64> {
        let state = self.state();
        let held = state.held.get(at).and_then(|held| held.first());
        let waits = || held.or_else(|| state.waiting.iter().find(|one| one.at == *at));
        let known = state.next.get(at).or_else(|| state.sought.get(at)).copied();
        known.or_else(|| waits().map(|one| one.offset))
    }

    /// Partitions that no group assigned.
    pub fn chosen(&self, partitions: &[Partition]) {
        self.change(|state| state.assigned = partitions.iter().cloned().collect());
    }

    pub fn assigned(&self, partitions: &[Partition]) {
        self.change(|state| {
            state.assigned.extend(partitions.iter().cloned());
            let told: Vec<Value> = partitions.iter().map(partition_json).collect();
            state.note(json!({"event": "assigned", "partitions": told}));
        });
    }

    /// Partitions are "revoked" or "lost". What waits of them is dropped unless `keep`: a client
    /// that commits by itself has committed it.
    pub fn gone(&self, event: &str, partitions: &[Partition], keep: bool) {
        self.change(|state| {
            for at in partitions {
                state.assigned.remove(at);
                state.next.remove(at);
                state.sought.remove(at);
                let held = state.held.remove(at).unwrap_or_default();
                state.put_in_front(held);
                if !keep {
                    state.remove(at);
                }
            }
            if !partitions.is_empty() {
                let told: Vec<Value> = partitions.iter().map(partition_json).collect();
                state.note(json!({"event": event, "partitions": told}));
            }
        });
    }

    /// An error; one that repeats itself is noted once, until a record comes.
    pub fn failed(&self, error: Error) {
        self.change(|state| {
            if state.failing.as_ref() != Some(&error) {
                state.note(json!({"event": "error", "error": error.to_json()}));
                state.failing = Some(error);
            }
        });
    }

    /// Waits for one of the kind, if any is named, and gives all since the last call.
    pub fn events(&self, kind: Option<&str>, timeout: Duration) -> Value {
        let end = Instant::now() + timeout;
        let mut state = self.state();
        let mut is_over = false;
        loop {
            let found = kind.is_none_or(|kind| state.events.iter().any(|e| e["event"] == kind));
            if found || is_over {
                let assignment: Vec<Value> = state.assigned.iter().map(partition_json).collect();
                let events = std::mem::take(&mut state.events);
                return json!({"events": events, "assignment": assignment});
            }
            (state, is_over) = self.wait(state, end);
        }
    }
}
