//! Programs under `examples/`.
