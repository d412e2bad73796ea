//! Numbers and texts in bytes, one after the other.

/// Bytes of which the first ones are read next.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Bytes<'a>(pub(in super::super) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `count` bytes; `None` where there are fewer.
    pub(in super::super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next bytes where they are `mark`; `None` where they are others.
    pub(in super::super) fn mark(&mut self, mark: &[u8]) -> Option<()> {
        (self.take(mark.len())? == mark).then_some(())
    }

    /// The number of the next `width` bytes, the lowest first; `None` for more than 8.
    pub(in super::super) fn number(&mut self, width: usize) -> Option<u64> {
        let mut all = [0; 8];
        all.get_mut(..width)?.copy_from_slice(self.take(width)?);
        Some(u64::from_le_bytes(all))
    }

    /// As [`Bytes::number`], for a count of what is in memory.
    pub(in super::super) fn count(&mut self, width: usize) -> Option<usize> {
        usize::try_from(self.number(width)?).ok()
    }

    /// The byte of the file at the address that stands in the next `width` bytes, counted from `base`; `None` also for the address
    /// that stands for none.
    pub(in super::super) fn address(&mut self, width: usize, base: u64) -> Option<u64> {
        let none = u64::MAX.checked_shr(64_u32.checked_sub(8 * u32::try_from(width).ok()?)?)?;
        self.number(width).filter(|address| *address != none)?.checked_add(base)
    }

    /// A text that ends with a zero, or with the bytes.
    pub(in super::super) fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}
