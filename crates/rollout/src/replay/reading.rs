//! From the lines of a log to what it comes to.

use std::ops::ControlFlow;

use super::fold::Fold;
use super::{Replay, ReplayConfig, Trouble};
use crate::scan::{Found, Line, Scan};
use crate::{Damage, OnDamage, ReadError, Torn};

/// A log that is being read.
pub(super) struct Reading<'a> {
    pub(super) config: ReplayConfig,
    pub(super) fold: Fold<'a>,
    pub(super) place: Place,
    pub(super) damage: Vec<Damage>,
    pub(super) torn: Option<Torn>,
}

/// How far it was read.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) next_ordinal: u64,
    pub(super) epoch: u64,
    pub(super) good_len: u64,
    pub(super) is_foreign: bool,
}

impl Place {
    pub(super) fn of(scan: &Scan<'_>) -> Self {
        Self {
            next_ordinal: scan.next_ordinal(),
            epoch: scan.epoch(),
            good_len: scan.good_len(),
            is_foreign: scan.is_foreign(),
        }
    }
}

impl Reading<'_> {
    pub(super) fn read(mut self, mut scan: Scan<'_>) -> Result<Replay, ReadError> {
        while let Some(found) = scan.next()? {
            match found {
                Found::Line(line) => {
                    if self.add(&line, &scan)?.is_break() {
                        return self.finish();
                    }
                }
                Found::Damage(damage) => self.report(*damage)?,
                Found::LostItem(damage, at) => {
                    self.report(*damage)?;
                    self.fold.lose_item(at);
                }
                Found::Torn(torn) => self.torn = Some(torn),
            }
            self.place = Place::of(&scan);
        }
        self.place = Place::of(&scan);
        self.finish()
    }

    /// Adds a line, unless it is behind the last that is to be read.
    fn add(&mut self, line: &Line, scan: &Scan<'_>) -> Result<ControlFlow<()>, ReadError> {
        let ordinal = scan.next_ordinal() - 1;
        let through = self.config.through.unwrap_or(u64::MAX);
        if ordinal > through {
            return Ok(ControlFlow::Break(()));
        }
        let damage = |flaw| Damage { line: line.number, offset: line.offset, flaw };
        match self.fold.add(line, scan) {
            Err(Trouble::Flaw(flaw)) => self.report(damage(flaw))?,
            Err(Trouble::Read(error)) => return Err(error),
            Ok(()) => {}
        }
        self.place = Place::of(scan);
        Ok(if ordinal == through { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    pub(super) fn report(&mut self, damage: Damage) -> Result<(), ReadError> {
        match self.config.on_damage {
            OnDamage::Refuse => Err(damage.into()),
            OnDamage::Salvage => {
                self.damage.push(damage);
                Ok(())
            }
        }
    }
}
