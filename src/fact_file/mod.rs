//! Facts as a file or a body has them: JSON, JSON lines, or CSV with a head line.
//!
//! Each fact is read by itself: one that can't be is named by its place, its line and its field, and the others are
//! read. Whether a fact is possible is not judged here.

mod csv;
mod json;
mod lines;

use stockade_proto as pb;

pub(crate) use csv::CsvFacts;
pub(crate) use json::JsonFacts;
pub(crate) use lines::LineFacts;

/// How facts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `{"facts": […]}`.
    Json,
    /// One JSON object a line.
    Lines,
    /// Values separated by commas, behind a line with the names of the columns.
    Csv,
}

/// A fact of a file, or what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    /// The line where it begins, from 1 on; none in JSON.
    pub(crate) line: Option<u64>,
    /// The fact.
    pub(crate) fact: Result<pb::Fact, Vec<BadField>>,
}

/// What is wrong with a field of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadField {
    /// The field, in proto spelling; empty: the whole fact.
    pub(crate) field: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// Why a file can't be read at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadFile {
    /// It is not what it should be.
    #[error("{0}")]
    Form(String),
    /// Its head line does not fit.
    #[error("the head line: {0}")]
    Head(String),
    /// It can't be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl BadField {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

#[cfg(test)]
mod tests;
