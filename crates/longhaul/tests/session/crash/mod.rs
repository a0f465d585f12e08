//! Processes that are gone in the middle of a session, and what comes of the session then.
//!
//! A driver (`child`: this test program, started again) runs a script (`script`) on sessions in files. It, its tools and
//! its model note what they do in a file beside the store (`world`). It is ended at a step; the session is opened again
//! and goes on (`recover`); then the testkit's checker holds the notes and the bytes of the log together.
//!
//! Two ends. The process is killed: the kernel keeps what was written. The power is lost: each file is cut to what had
//! been synced by then, and the names are gone whose folders had not, which the disk of the driver notes (`disk`). The
//! notes themselves are taken to survive.
//!
//! A session that was acknowledged has a log: one that is gone is found by the notes.

mod child;
mod disk;
mod recover;
mod script;
mod steps;
mod sweep;
mod world;
