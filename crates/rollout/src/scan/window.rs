//! A window over a source: the bytes that are looked at now.

use std::io;

use crate::Source;

/// Bytes of a source from one place on, as many as the window holds.
pub(super) struct Window<'a> {
    source: &'a dyn Source,
    /// Up to where the source is read.
    end: u64,
    buf: Vec<u8>,
    /// Where in `buf` the window's bytes are.
    start: usize,
    filled: usize,
    /// Where in the source they begin.
    offset: u64,
    /// How many bytes it holds, unless it was made larger for one line.
    capacity: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(source: &'a dyn Source, offset: u64, end: u64, capacity: usize) -> Self {
        // One more than there is, so that it is never full at the end.
        let unread = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let capacity = capacity.min(unread.saturating_add(1));
        let buf = vec![0; capacity];
        Self { source, end, buf, start: 0, filled: 0, offset, capacity }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buf[self.start..self.filled]
    }

    /// Bytes from a place in the source on, if they are in the window.
    pub(super) fn get(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        self.bytes().get(start..start.checked_add(len)?)
    }

    /// Where in the source the window begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn len(&self) -> usize {
        self.filled - self.start
    }

    /// Whether no more bytes fit in.
    pub(super) fn is_full(&self) -> bool {
        self.len() == self.buf.len()
    }

    /// Goes on behind the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads more, and says whether there was more and room for it.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        self.settle();
        let unread = self.end.saturating_sub(self.offset + self.len() as u64);
        let room =
            (self.buf.len() - self.filled).min(usize::try_from(unread).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(false);
        }
        let at = self.offset + self.len() as u64;
        let buf = &mut self.buf[self.filled..self.filled + room];
        let count = read_some(self.source, at, buf)?;
        self.filled += count;
        Ok(true)
    }

    /// Moves what is there to the front, and gives back what a long line had taken.
    fn settle(&mut self) {
        if self.start > 0 {
            self.buf.copy_within(self.start..self.filled, 0);
            (self.start, self.filled) = (0, self.len());
        }
        if self.buf.len() > self.capacity && self.filled < self.capacity {
            self.buf.truncate(self.capacity);
            self.buf.shrink_to_fit();
        }
    }

    /// Makes the window twice as large, for a line that does not fit in.
    pub(super) fn grow(&mut self) {
        self.buf.resize(self.buf.len() * 2, 0);
    }
}

/// Reads at least one byte; whoever calls knows that there is one.
fn read_some(source: &dyn Source, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read_at(offset, buf) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Reads exactly what fits into `buf`.
pub(crate) fn read_exact(source: &dyn Source, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < buf.len() {
        done += read_some(source, offset + done as u64, &mut buf[done..])?;
    }
    Ok(())
}
