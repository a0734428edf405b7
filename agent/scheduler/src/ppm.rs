//! Shares in fixed point.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// A share between 0 and 1, in parts per million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Ppm(u32);

impl Ppm {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// A half.
    pub const HALF: Self = Self(500_000);
    /// The whole.
    pub const ONE: Self = Self(1_000_000);

    /// `part ÷ whole`, rounded down; 1 where the part exceeds the whole or there is no whole.
    pub fn share(part: u64, whole: u64) -> Self {
        // 64 bits times a million fit in 128.
        let millionths = u128::from(part).saturating_mul(u128::from(Self::ONE.0));
        match millionths.checked_div(u128::from(whole)) {
            Some(share) => Self::at_most_one(share),
            None => Self::ONE,
        }
    }

    /// So many millionths, 1 where there are more.
    pub fn at_most_one(millionths: u128) -> Self {
        u32::try_from(millionths).map_or(Self::ONE, |millionths| Self(millionths).min(Self::ONE))
    }

    /// What is missing to 1.
    pub fn complement(self) -> Self {
        Self(Self::ONE.0.saturating_sub(self.0))
    }

    /// The number of millionths, at most 1,000,000.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Ppm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millionths = u32::deserialize(deserializer)?;
        if millionths > Self::ONE.0 {
            return Err(de::Error::custom("a share is at most 1000000 parts per million"));
        }
        Ok(Self(millionths))
    }
}

impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ONE { f.write_str("1.000000") } else { write!(f, "0.{:06}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_down_and_stop_at_one() {
        assert_eq!(Ppm::share(1, 3).get(), 333_333);
        assert_eq!(Ppm::share(0, 5), Ppm::ZERO);
        assert_eq!(Ppm::share(7, 5), Ppm::ONE);
        assert_eq!(Ppm::share(0, 0), Ppm::ONE);
        assert_eq!(Ppm::share(u64::MAX - 1, u64::MAX).get(), 999_999);
        assert_eq!(Ppm::at_most_one(u128::MAX), Ppm::ONE);
        assert_eq!(Ppm::HALF.complement(), Ppm::HALF);
    }

    #[test]
    fn shares_print_as_decimals() {
        let shown = [Ppm::ZERO, Ppm(1_500), Ppm::ONE].map(|share| share.to_string());
        assert_eq!(shown, ["0.000000", "0.001500", "1.000000"]);
    }
}
