//! What happened, as its clients, its handlers and a reader of its store saw it; and whether that
//! may happen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buttress::idempotency::RecordState;

use super::super::caller::{Answer, Order};
use super::super::ledger::{Note, Tally, What};

/// What is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// One holder: a claim runs once, and one claim completes the record.
    I1,
    /// No regress: what has ended stays as it is.
    I2,
    /// One canonical answer.
    I3,
    /// No cross-talk between tenants, keys or requests.
    I4,
    /// No orphan: each record ends.
    I5,
    /// No more effects than executions that somebody was told of.
    Effects,
    /// A final answer is that of an effect.
    Lost,
}

/// A request, and what its client knows about it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) order: Order,
    /// `None`: its connection broke, or it left.
    pub(super) answer: Option<Answer>,
}

/// A record, as it was at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) key: String,
    /// Since the beginning.
    pub(super) at: Duration,
    pub(super) state: RecordState,
    pub(super) fence: u64,
    pub(super) attempt: u32,
    pub(super) length: usize,
    pub(super) lease: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) calls: Vec<Call>,
    pub(super) notes: Vec<Note>,
    /// For each key in the order in which they were taken. The last is of the time when all was
    /// over.
    pub(super) views: Vec<View>,
    /// The longest lease, and the longest time for which a claim may be seen in flight.
    pub(super) lease: Duration,
    pub(super) patience: Duration,
}

/// What a handler answers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told<'a> {
    key: &'a str,
    order: &'a str,
    fence: u64,
}

impl<'a> Told<'a> {
    fn read(answer: &'a Answer) -> Option<Self> {
        let mut parts = answer.body.split('|');
        let (key, order) = (parts.next()?, parts.next()?);
        Some(Self { key, order, fence: parts.nth(1)?.parse().ok()? })
    }
}

/// Everything about one key.
#[derive(Default)]
struct OfKey<'a> {
    calls: Vec<&'a Call>,
    notes: Vec<&'a Note>,
    views: Vec<&'a View>,
}

type Found = Vec<(Rule, String)>;

impl History {
    /// Every breach that there is.
    pub(super) fn breaches(&self) -> Vec<(Rule, String)> {
        let mut keys = BTreeMap::<String, OfKey<'_>>::new();
        for call in &self.calls {
            keys.entry(call.key()).or_default().calls.push(call);
        }
        for note in &self.notes {
            keys.entry(note.key.clone()).or_default().notes.push(note);
        }
        for view in &self.views {
            keys.entry(view.key.clone()).or_default().views.push(view);
        }
        let mut found = Vec::new();
        for (key, of) in &keys {
            let breaches = [
                of.holders(),
                of.regresses(),
                of.answers(),
                of.cross_talk(key),
                of.orphans(self.lease, self.patience),
                of.effects(),
            ];
            found.extend(
                breaches.concat().into_iter().map(|(rule, what)| (rule, format!("{key}: {what}"))),
            );
        }
        found
    }
}

impl Call {
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.order.tenant, self.order.key)
    }
}

impl OfKey<'_> {
    fn fences(&self, what: What) -> impl Iterator<Item = u64> {
        self.notes.iter().filter(move |note| note.what == what).map(|note| note.fence)
    }

    fn completions(&self) -> BTreeSet<u64> {
        let completed = self.views.iter().filter(|view| view.state == RecordState::Completed);
        completed.map(|view| view.fence).collect()
    }

    fn holders(&self) -> Found {
        let mut found = Found::new();
        for what in [What::Started, What::Effect] {
            let mut seen = BTreeSet::new();
            let twice = self.fences(what).filter(|fence| !seen.insert(*fence));
            found.extend(twice.map(|fence| (Rule::I1, format!("{what:?} twice under {fence}"))));
        }
        let started: BTreeSet<_> = self.fences(What::Started).collect();
        let unknown = self.fences(What::Effect).chain(self.completions());
        let unknown = unknown.filter(|fence| !started.contains(fence));
        found.extend(unknown.map(|fence| (Rule::I1, format!("{fence} never started"))));
        if self.completions().len() > 1 {
            found.push((Rule::I1, format!("completed by {:?}", self.completions())));
        }
        found
    }

    fn regresses(&self) -> Found {
        let mut found = Found::new();
        for pair in self.views.windows(2) {
            let [before, after] = pair else { continue };
            let same = (after.state, after.fence, after.attempt, after.length)
                == (before.state, before.fence, before.attempt, before.length);
            if before.state != RecordState::InFlight && !same {
                found.push((Rule::I2, format!("{before:?} became {after:?}")));
            }
            if after.fence < before.fence {
                found.push((Rule::I2, format!("fence {} after {}", after.fence, before.fence)));
            }
        }
        found
    }

    fn final_answers(&self) -> impl Iterator<Item = &Answer> {
        let answers = self.calls.iter().filter_map(|call| call.answer.as_ref());
        answers.filter(|answer| answer.is_final())
    }

    fn answers(&self) -> Found {
        let mut found = Found::new();
        let replays: BTreeSet<_> =
            self.final_answers().filter(|it| it.replayed).map(|it| &it.body).collect();
        if replays.len() > 1 {
            found.push((Rule::I3, format!("replays of {replays:?}")));
        }
        let completions = self.completions();
        for answer in self.final_answers() {
            let Some(told) = Told::read(answer) else {
                found.push((Rule::I3, format!("an answer of nobody: {answer:?}")));
                continue;
            };
            if completions.contains(&told.fence) {
                continue;
            }
            // Handed out before it was stored, because the store did not answer: only a takeover
            // keeps it from being the answer.
            let took_over = |note: &&&Note| note.attempt > 1 && note.fence > told.fence;
            if answer.replayed || !self.notes.iter().any(|note| took_over(&note)) {
                found.push((Rule::I3, format!("{answer:?}, where {completions:?} completed")));
            }
        }
        found
    }

    fn cross_talk(&self, key: &str) -> Found {
        let mut found = Found::new();
        let canonical = self.final_answers().filter_map(Told::read).map(|told| told.order).next();
        for call in &self.calls {
            let Some(answer) = &call.answer else { continue };
            let told = Told::read(answer).filter(|_| answer.is_final());
            if told.is_some_and(|told| (told.key, told.order) != (key, call.order.body.as_str())) {
                found.push((Rule::I4, format!("{answer:?} to {:?}", call.order)));
            }
            let is_same = canonical.is_none_or(|order| order == call.order.body);
            let refused = answer.is(422, "fingerprint_mismatch");
            let may_be = refused || answer.status == 503;
            if (is_same && refused) || (!is_same && !may_be) {
                found.push((Rule::I4, format!("{answer:?} to {:?}", call.order)));
            }
        }
        found
    }

    fn orphans(&self, lease: Duration, patience: Duration) -> Found {
        let mut found = Found::new();
        let in_flight = |view: &&&View| view.state == RecordState::InFlight;
        let mut first = BTreeMap::new();
        for view in self.views.iter().filter(in_flight) {
            let since = *first.entry(view.fence).or_insert(view.at);
            if view.at > since + patience || view.lease > lease {
                found.push((Rule::I5, format!("{view:?}, first seen at {since:?}")));
            }
        }
        if self.views.last().is_none_or(|view| view.state != RecordState::Completed) {
            found.push((Rule::I5, format!("ends as {:?}", self.views.last())));
        }
        if self.final_answers().next().is_none() {
            found.push((Rule::I5, "never answered".into()));
        }
        found
    }

    fn effects(&self) -> Found {
        let mut found = Found::new();
        let notes: Vec<Note> = self.notes.iter().copied().cloned().collect();
        for tally in Tally::of(&notes).values().filter(|tally| !tally.is_explained()) {
            found.push((Rule::Effects, format!("{tally:?}")));
        }
        let effects: BTreeSet<_> = self.fences(What::Effect).collect();
        for told in self.final_answers().filter_map(Told::read) {
            if !effects.contains(&told.fence) {
                found.push((Rule::Lost, format!("{told:?} had no effect")));
            }
        }
        found
    }
}
