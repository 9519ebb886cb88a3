//! The same subjects as criterion sees them: `overhead` and `contention`.

use std::time::Duration;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};

use crate::cases::{self, Case, shared};
use crate::{contention, measure};

/// Both groups, shorter than criterion would: there are many subjects.
pub(crate) fn run() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(250))
        .sample_size(10)
        .nresamples(1_000)
        .without_plots()
        .configure_from_args();
    overhead(&mut criterion, &cases::all());
    contended(&mut criterion);
    criterion.final_summary();
}

fn overhead(criterion: &mut Criterion, cases: &[Case]) {
    let mut group = criterion.benchmark_group("overhead");
    for case in cases {
        one(&mut group, case);
        cases::drain();
    }
    group.finish();
}

fn one(group: &mut BenchmarkGroup<'_, WallTime>, case: &Case) {
    let mut subject = None;
    group.bench_function(BenchmarkId::new(case.row, case.whose), |bencher| {
        let subject = subject.get_or_insert_with(|| measure::prepared(case));
        bencher.iter_custom(|calls| {
            in_portions(calls, |portion| measure::time(&mut **subject, portion))
        });
    });
}

fn contended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("contention");
    for subject in shared::all() {
        let mut clones = (subject.make)();
        for threads in [1, 2] {
            let id = BenchmarkId::new(format!("{}/{}", subject.name, subject.whose), threads);
            group.bench_function(id, |bencher| {
                let clones = &mut clones[..threads];
                bencher.iter_custom(|calls| {
                    in_portions(calls, |portion| contention::time(clones, portion))
                });
            });
        }
    }
    group.finish();
}

fn in_portions(calls: u64, mut time: impl FnMut(u32) -> Duration) -> Duration {
    let portion = u32::MAX;
    let whole = calls / u64::from(portion);
    let rest = u32::try_from(calls % u64::from(portion)).expect("less than a portion");
    (0..whole).map(|_| time(portion)).sum::<Duration>() + time(rest)
}
