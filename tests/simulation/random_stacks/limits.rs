//! Of the layers of random stacks: those that find out themselves what the server can do.

use buttress::adaptive_limit::{
    self, AdaptiveLimitLayer, Aimd, Algorithm, Cohort, Gradient, Handle, Vegas,
};
use buttress::bulkhead::QueueOrder;
use buttress::load_shed::{LoadShedLayer, ThrottleLayer};
use buttress::sim::{Failures, World, ensure};
use buttress::timeout::FromRequest;
use tower::Layer;

use super::{Refuses, Stack, Truth, boxed};
use crate::tools::Dice;

pub(super) fn adaptive_limit(
    world: &mut World<'_>,
    dice: &Dice,
    inner: Stack,
    told: &mut Truth,
    name: &str,
) -> Stack {
    match dice.below(5) {
        0 => limited_by(Aimd::new(), world, dice, inner, told, name),
        1 => limited_by(Vegas::new(), world, dice, inner, told, name),
        2 => limited_by(Gradient::new(), world, dice, inner, told, name),
        _ => limited_by(Cohort::new(), world, dice, inner, told, name),
    }
}

fn limited_by<A: Algorithm + 'static>(
    algorithm: A,
    world: &mut World<'_>,
    dice: &Dice,
    inner: Stack,
    told: &mut Truth,
    name: &str,
) -> Stack {
    let (min, max) = (dice.size(1..4), dice.size(4..60));
    let builder = AdaptiveLimitLayer::builder()
        .name(name)
        .algorithm(algorithm)
        .classify(Failures)
        .min(min)
        .max(max)
        .initial(4)
        .observe(world.observer());
    if dice.chance(50) {
        told.layers.insert(name.to_owned(), Refuses::AtTheLimit);
        let layer = builder.build();
        in_range(world, name, &layer.handle(), (min, max));
        return boxed(layer.layer(inner));
    }
    let max_wait = dice.chance(70).then(|| dice.millis(1..300));
    told.layers.insert(name.to_owned(), Refuses::WaitingAtTheLimit(max_wait));
    let builder = builder.queue(dice.size(0..30)).order(dice.one_of(&[
        QueueOrder::Fifo,
        QueueOrder::Lifo,
        QueueOrder::Adaptive,
    ]));
    let builder = max_wait.into_iter().fold(builder, adaptive_limit::Builder::max_wait);
    let layer = builder.deadline(FromRequest).build();
    in_range(world, name, &layer.handle(), (min, max));
    boxed(layer.layer(inner))
}

/// A limit that shrinks leaves more in flight than it is, but never more than it may be.
fn in_range(world: &mut World<'_>, name: &str, handle: &Handle, (min, max): (usize, usize)) {
    let (now, end, left) = (handle.clone(), handle.clone(), handle.clone());
    world.always(format!("{name}: limit"), move || {
        let (limit, held) = (now.limit(), now.in_flight());
        ensure((min..=max).contains(&limit) && held <= max, || {
            format!("a limit of {limit}, {held} in flight, {min} to {max} allowed")
        })
    });
    world.idle(format!("{name}: in flight"), move || end.in_flight());
    world.idle(format!("{name}: queued"), move || left.queued());
}

pub(super) fn load_shed(
    world: &mut World<'_>,
    dice: &Dice,
    inner: Stack,
    told: &mut Truth,
    name: &str,
) -> Stack {
    told.layers.insert(name.to_owned(), Refuses::Overload);
    let builder =
        LoadShedLayer::builder().name(name).seed(world.seed(name)).observe(world.observer());
    if dice.chance(40) {
        return boxed(builder.build().layer(inner));
    }
    let (target, interval) = (dice.millis(1..20), dice.millis(20..200));
    let layer = builder.queue_delay(target, interval).queue(dice.size(0..30)).build();
    let handle = layer.handle();
    world.idle(format!("{name}: queued"), move || handle.queued());
    boxed(layer.layer(inner))
}

pub(super) fn throttle(
    world: &World<'_>,
    dice: &Dice,
    inner: Stack,
    told: &mut Truth,
    name: &str,
) -> Stack {
    told.layers.insert(name.to_owned(), Refuses::Overload);
    let layer = ThrottleLayer::builder()
        .name(name)
        .classify(Failures)
        .multiplier(dice.one_of(&[1.1, 1.5, 2.0]))
        .window(dice.millis(1000..10_000))
        .seed(world.seed(name))
        .observe(world.observer())
        .build();
    boxed(layer.layer(inner))
}
