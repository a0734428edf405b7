//! Names for the contracts' enums, in the order of their declaration in Solidity.

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NodeType {
    /// Runs jobs.
    Compute = 0,
    /// Keeps data.
    Storage = 1,
    /// Schedules jobs.
    Coordinator = 2,
}

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NodeStatus {
    /// Never registered.
    None = 0,
    /// Registered, never had enough stake.
    Inactive = 1,
    /// May take work.
    Active = 2,
    /// Was active, then its stake fell below the minimum.
    Unbonding = 3,
    /// Given up by its owner.
    Deregistered = 4,
}

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum JobStatus {
    /// Never created.
    None = 0,
    /// Waits for a node.
    Created = 1,
    /// Has a node that has not started it.
    Assigned = 2,
    /// Runs on its node.
    Running = 3,
    /// Its customer wants it to end.
    Stopping = 4,
    /// Ended as it should.
    Completed = 5,
    /// Ended as it should not.
    Failed = 6,
}

impl JobStatus {
    /// Whether the job can change no more.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// A contract answered a value this version has no name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the contract answered {value} for a {of}, which this version does not know: update it")]
pub struct UnknownValue {
    of: &'static str,
    value: u8,
}

macro_rules! from_u8 {
    ($name:ident: $($variant:ident),+) => {
        impl TryFrom<u8> for $name {
            type Error = UnknownValue;

            fn try_from(value: u8) -> Result<Self, UnknownValue> {
                $(if value == Self::$variant as u8 { return Ok(Self::$variant); })+
                Err(UnknownValue { of: stringify!($name), value })
            }
        }

        impl From<$name> for u8 {
            fn from(value: $name) -> Self {
                value as Self
            }
        }
    };
}

from_u8!(NodeType: Compute, Storage, Coordinator);
from_u8!(NodeStatus: None, Inactive, Active, Unbonding, Deregistered);
from_u8!(JobStatus: None, Created, Assigned, Running, Stopping, Completed, Failed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_value_round_trips_and_the_next_is_refused() {
        fn check<T: TryFrom<u8> + Into<u8>>(count: u8) {
            for value in 0..count {
                assert_eq!(T::try_from(value).ok().map(Into::into), Some(value));
            }
            assert!(T::try_from(count).is_err());
        }
        check::<NodeType>(3);
        check::<NodeStatus>(5);
        check::<JobStatus>(7);
    }
}
