//! An answer on its way to the peer: its head, its bytes with what they are charged, its trailers.

use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use tonic::codegen::http::{HeaderMap, Response};

use crate::budget::Charge;

/// Bytes that wait to be sent. What they are charged is given back when the last of them was written to the socket, or
/// nobody wants them any more.
#[derive(Debug)]
pub struct Chunk {
    bytes: Bytes,
    charge: Option<Charge>,
}

impl Chunk {
    /// Bytes, with their charge if they have one of their own.
    #[must_use]
    pub const fn new(bytes: Bytes, charge: Option<Charge>) -> Self {
        Self { bytes, charge }
    }

    /// Covers bytes that have no charge of their own.
    pub(super) fn or_charge(mut self, charge: Option<Charge>) -> Self {
        self.charge = self.charge.or(charge);
        self
    }

    /// The first bytes, or all. The charge stays with the last.
    pub(super) fn split_to(&mut self, bytes: usize) -> Self {
        if bytes < self.bytes.len() {
            Self { bytes: self.bytes.split_to(bytes), charge: None }
        } else {
            Self { bytes: std::mem::take(&mut self.bytes), charge: self.charge.take() }
        }
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

/// A piece of an answer that comes in pieces.
#[derive(Debug)]
pub enum Part {
    /// Bytes.
    Data(Chunk),
    /// The end.
    Trailers(HeaderMap),
}

/// What follows an answer's first bytes.
pub enum Rest {
    /// Nothing: the head was all, or the bytes were.
    End,
    /// The end, with these.
    Trailers(HeaderMap),
    /// Pieces, as they come.
    Stream(Pin<Box<dyn Stream<Item = Part> + Send>>),
}

/// An answer.
pub struct Answer {
    /// Its head.
    pub head: Response<()>,
    /// Bytes that are there already.
    pub data: Option<Chunk>,
    /// What follows them.
    pub rest: Rest,
}

impl Answer {
    /// An answer that is its head alone.
    #[must_use]
    pub const fn head_only(head: Response<()>) -> Self {
        Self { head, data: None, rest: Rest::End }
    }
}
