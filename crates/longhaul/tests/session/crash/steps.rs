//! Named steps.
