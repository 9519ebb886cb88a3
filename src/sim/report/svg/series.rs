//! The series of a report, as the plot shows them.

use crate::sim::report::{ClientMoment, Report, ServerMoment, ServerReport};

/// So many points a curve has, about.
const POINTS: usize = 120;

/// One value for each bin, from the start of the run on.
pub(super) struct Series {
    /// The middle of each bin, in seconds, and its value.
    pub(super) points: Vec<(f64, f64)>,
}

/// The moments of a run, taken together in bins of the same length.
pub(super) struct Bins<'a> {
    report: &'a Report,
    /// Moments to a bin.
    size: usize,
    /// Moments in the run.
    moments: usize,
}

impl<'a> Bins<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let until = report.violation.as_ref().map_or(report.ran_for, |broken| broken.at);
        let moments = until.as_nanos().div_ceil(report.moment.as_nanos());
        let moments = usize::try_from(moments).unwrap_or(usize::MAX).max(1);
        // Of 1, 2, 5, 10, 20, .. moments: bins then begin and end where faults do, mostly.
        let mut sizes = (0_u32..).flat_map(|n| [1, 2, 5].map(|factor| factor * 10_usize.pow(n)));
        let size = sizes.find(|size| moments / size <= POINTS).unwrap_or(1);
        Self { report, size, moments }
    }

    pub(super) fn offered(&self) -> Series {
        self.of_clients(|moment| moment.offered)
    }

    pub(super) fn good(&self) -> Series {
        self.of_clients(|moment| moment.good)
    }

    pub(super) fn refused(&self) -> Series {
        self.of_clients(|moment| moment.refused)
    }

    pub(super) fn oracle(&self) -> Series {
        self.per_second(&self.report.oracle())
    }

    pub(super) fn sent(&self, server: &ServerReport) -> Series {
        self.per_second(&values(&server.moments, |moment| count(moment.sent)))
    }

    pub(super) fn capacity(&self, server: &ServerReport) -> Series {
        self.per_second(&values(&server.moments, |moment| moment.capacity))
    }

    pub(super) fn waiting(&self, server: &ServerReport) -> Series {
        let waiting = values(&server.moments, |moment| count(moment.waiting));
        self.fold(&waiting, |values, _| values.iter().copied().fold(0.0, f64::max))
    }

    fn of_clients(&self, of: impl Fn(&ClientMoment) -> u64) -> Series {
        let mut sums = vec![0.0; self.moments];
        for client in self.report.clients.values() {
            for (sum, moment) in sums.iter_mut().zip(&client.moments) {
                *sum += count(of(moment));
            }
        }
        self.per_second(&sums)
    }

    fn per_second(&self, values: &[f64]) -> Series {
        self.fold(values, |values, seconds| values.iter().sum::<f64>() / seconds)
    }

    /// `of` the values of each bin and its length in seconds.
    #[allow(clippy::cast_precision_loss)]
    fn fold(&self, values: &[f64], of: impl Fn(&[f64], f64) -> f64) -> Series {
        let moment = self.report.moment.as_secs_f64();
        let bins = (0..self.moments).step_by(self.size);
        let points = bins.map(|first| {
            let end = (first + self.size).min(self.moments);
            let seconds = (end - first) as f64 * moment;
            // After the last moment nothing happened.
            let values = &values[first.min(values.len())..end.min(values.len())];
            ((first as f64) * moment + seconds / 2.0, of(values, seconds))
        });
        Series { points: points.collect() }
    }
}

fn values(moments: &[ServerMoment], of: impl Fn(&ServerMoment) -> f64) -> Vec<f64> {
    moments.iter().map(of).collect()
}

#[allow(clippy::cast_precision_loss)]
fn count(count: u64) -> f64 {
    count as f64
}
