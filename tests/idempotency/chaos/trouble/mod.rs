//! Half a minute of random trouble, with a history that is checked afterwards.

mod history;
mod planted;
mod scene;

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use buttress::idempotency::OwnerId;

use super::ledger::Tally;
use super::place::Place;
use crate::support::servers;
use history::History;
use scene::Scene;

const LASTS: Duration = Duration::from_secs(30);

/// Of the time at which it runs, or the one that is given: the same seed is the same trouble, as
/// far as the machine lets it.
fn seed() -> u64 {
    let given = env::var("BUTTRESS_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::try_from(OwnerId::random().get() >> 64).unwrap())
}

fn print(name: &str, seed: u64, history: &History) {
    let mut answers = BTreeMap::new();
    for call in &history.calls {
        let told = match &call.answer {
            None => "left or cut off".to_owned(),
            Some(answer) if answer.is_final() && answer.replayed => "200 replayed".to_owned(),
            Some(answer) => {
                format!("{} {}", answer.status, answer.refusal.as_deref().unwrap_or_default())
            }
        };
        *answers.entry(told).or_insert(0) += 1;
    }
    let tallies = Tally::of(&history.notes);
    println!(
        "{name}, seed {seed}: {} requests ({answers:?}), {} keys, {:?}, {} views of records",
        history.calls.len(),
        tallies.len(),
        Tally::sum(tallies.values()),
        history.views.len(),
    );
}

async fn trouble(place: Place) {
    let (name, seed) = (place.name(), seed());
    println!("{name}, seed {seed}");
    let history = Scene::set(place, seed).await.play(LASTS).await;
    print(name, seed, &history);
    let breaches = history.breaches();
    assert!(breaches.is_empty(), "seed {seed}: {breaches:#?}");
    let tallies = Tally::of(&history.notes);
    assert_eq!(tallies.len(), scene::KEYS);
    assert!(history.calls.iter().any(|call| call.answer.is_none()), "that was no trouble");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_minute_of_random_trouble_breaks_no_promise() {
    let named = servers::unique("trouble");
    let postgres = Place::postgres().await.named(&named);
    let all = tokio::join!(tokio::spawn(trouble(Place::redis())), tokio::spawn(trouble(postgres)),);
    // Both have ended, whichever fails.
    all.0.unwrap();
    all.1.unwrap();
}
