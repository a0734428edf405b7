//! A cursor over hostile bytes: every read is checked, every error says where.

use crate::error::Error;

/// Reads one structure from its first to its last byte.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Begins to read `bytes`, called `what` in errors.
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes, offset: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.malformed("it ends too early"));
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(len);
        Ok(taken)
    }

    pub(crate) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Error> {
        let mut array = [0; LEN];
        array.copy_from_slice(self.take(LEN)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16_be(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32_be(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64_be(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn u16_le(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32_le(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64_le(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    /// A 32-bit little-endian length, then as many bytes.
    pub(crate) fn sized_u32_le(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u32_le()?;
        let len = usize::try_from(len).map_err(|_| self.malformed("its length is too large"))?;
        self.take(len)
    }

    /// A TPM2B: a 16-bit big-endian length, then as many bytes, `len_max` at most.
    pub(crate) fn tpm2b(&mut self, len_max: usize) -> Result<&'a [u8], Error> {
        let len = usize::from(self.u16_be()?);
        if len > len_max {
            return Err(self.malformed("a field is longer than allowed"));
        }
        self.take(len)
    }

    /// Nothing may follow what was read.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed("bytes follow its end")) }
    }

    pub(crate) fn malformed(&self, problem: &'static str) -> Error {
        Error::Malformed { what: self.what, offset: self.offset, problem }
    }
}
