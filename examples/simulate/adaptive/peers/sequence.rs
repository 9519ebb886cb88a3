//! Evenly spread numbers in the place of chance: a run repeats.

/// The golden-ratio sequence in `[0, 1)`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence(f64);

impl Sequence {
    pub(super) fn next(&mut self) -> f64 {
        const GOLDEN: f64 = 0.618_033_988_749_894_8;
        self.0 = (self.0 + GOLDEN).fract();
        self.0
    }
}
