//! What several of the peers reckon with.

use std::collections::VecDeque;

use super::bounds::float;

/// Of at least one number; puts them in another order.
pub(super) fn quantile(numbers: &mut [f64], share: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the length")]
    let rank = (share * float(numbers.len())).ceil() as usize;
    let index = rank.clamp(1, numbers.len()) - 1;
    *numbers.select_nth_unstable_by(index, f64::total_cmp).1
}

/// Exponential, of weight `2 / (samples + 1)`; plain for the first ten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Average {
    pub(super) value: f64,
    weight: f64,
    /// Samples so far, up to [`Self::WARM_UP`], and their sum.
    samples: f64,
    sum: f64,
}

impl Average {
    const WARM_UP: f64 = 10.0;

    pub(super) fn over(samples: f64) -> Self {
        Self { value: 0.0, weight: 2.0 / (samples + 1.0), samples: 0.0, sum: 0.0 }
    }

    pub(super) fn add(&mut self, sample: f64) -> f64 {
        if self.samples < Self::WARM_UP {
            self.samples += 1.0;
            self.sum += sample;
            self.value = self.sum / self.samples;
        } else {
            self.value += self.weight * (sample - self.value);
        }
        self.value
    }
}

/// Of the last few; until there are so many, the last.
pub(super) struct Median {
    last: VecDeque<f64>,
    of: usize,
}

impl Median {
    pub(super) fn over(of: usize) -> Self {
        Self { last: VecDeque::new(), of }
    }

    pub(super) fn add(&mut self, sample: f64) -> f64 {
        self.last.push_back(sample);
        if self.last.len() < self.of {
            return sample;
        }
        let mut last: Vec<f64> = self.last.iter().copied().collect();
        self.last.pop_front();
        quantile(&mut last, 0.5)
    }
}

/// Of the last 50 pairs, from the tenth on.
#[derive(Default)]
pub(super) struct Correlation {
    last: VecDeque<(f64, f64)>,
}

impl Correlation {
    const MOST: usize = 50;
    const LEAST: usize = 10;
    /// What varies less does not count as varying.
    const LEAST_VARIATION: f64 = 0.01;

    /// The coefficient of correlation, and that of variation of `y`.
    pub(super) fn add(&mut self, x: f64, y: f64) -> (f64, f64) {
        self.last.push_back((x, y));
        if self.last.len() > Self::MOST {
            self.last.pop_front();
        }
        if self.last.len() < Self::LEAST {
            return (0.0, 0.0);
        }
        let mean = |of: &dyn Fn(f64, f64) -> f64| {
            self.last.iter().map(|&(x, y)| of(x, y)).sum::<f64>() / float(self.last.len())
        };
        let (mean_x, mean_y) = (mean(&|x, _| x), mean(&|_, y| y));
        let deviation_x = mean(&|x, _| (x - mean_x).powi(2)).sqrt();
        let deviation_y = mean(&|_, y| (y - mean_y).powi(2)).sqrt();
        let (variation_x, variation_y) = (deviation_x / mean_x, deviation_y / mean_y);
        let varies = |variation: f64| variation >= Self::LEAST_VARIATION;
        if !varies(variation_x) || !varies(variation_y) {
            return (0.0, variation_y);
        }
        let together = mean(&|x, y| (x - mean_x) * (y - mean_y));
        (together / (deviation_x * deviation_y), variation_y)
    }
}
