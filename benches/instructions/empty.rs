//! The package has a benchmark alone.
