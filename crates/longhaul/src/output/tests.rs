//! Schemas and answers, against tables and a naive reading of the rules.

mod answers;
mod given;
mod instance;
mod limits;
mod naive;
mod random;
mod refused;
mod types;
