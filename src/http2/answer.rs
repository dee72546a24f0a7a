//! An answer to the peer: its head, its bytes with their charge, its trailers.

use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use tonic::codegen::http::{HeaderMap, Response};

use crate::budget::Charge;

/// Bytes that wait to be sent. Their charge is given back once the last of them is written to the socket, or they are
/// dropped.
#[derive(Debug)]
pub struct Chunk {
    bytes: Bytes,
    charge: Option<Charge>,
}

impl Chunk {
    /// Bytes, with a charge of their own if they have one.
    #[must_use]
    pub const fn new(bytes: Bytes, charge: Option<Charge>) -> Self {
        Self { bytes, charge }
    }

    /// Adds a charge, if the bytes have none of their own.
    pub(super) fn or_charge(mut self, charge: Option<Charge>) -> Self {
        self.charge = self.charge.or(charge);
        self
    }

    /// Splits off the first bytes, or all. The charge stays with the last ones.
    pub(super) fn split_to(&mut self, bytes: usize) -> Self {
        if bytes < self.bytes.len() {
            Self { bytes: self.bytes.split_to(bytes), charge: None }
        } else {
            Self { bytes: std::mem::take(&mut self.bytes), charge: self.charge.take() }
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// A part of a streamed answer.
#[derive(Debug)]
pub enum Part {
    /// Bytes.
    Data(Chunk),
    /// The end.
    Trailers(HeaderMap),
}

/// What follows an answer's first bytes.
pub enum Rest {
    /// Nothing.
    End,
    /// Trailers.
    Trailers(HeaderMap),
    /// Parts, as they are produced.
    Stream(Pin<Box<dyn Stream<Item = Part> + Send>>),
}

/// An answer.
pub struct Answer {
    /// Its head.
    pub head: Response<()>,
    /// Bytes that are available already.
    pub data: Option<Chunk>,
    /// What follows them.
    pub rest: Rest,
}

impl Answer {
    /// An answer that consists of its head.
    #[must_use]
    pub const fn head_only(head: Response<()>) -> Self {
        Self { head, data: None, rest: Rest::End }
    }
}
