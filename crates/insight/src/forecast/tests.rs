//! Forecasts against worlds whose truth is known, and against a series that people made.

mod bicycles;
mod requests;
mod worlds;
