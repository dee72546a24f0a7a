//! The deadline of an ordinary answer: a peer that does not take it in time loses its connection, and the answer its room.
//! Streams have none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use stockade_counter::sync::{AtomicU64, Ordering};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::sleep;

/// The answers of one connection: how many were begun and how many of these were written, in one number that is odd while
/// one is being written.
#[derive(Debug, Default)]
pub(super) struct Answers {
    number: AtomicU64,
    begun: Notify,
}

impl Answers {
    /// An answer begins.
    pub(super) fn begin(&self) {
        // Relaxed: the number orders nothing else. One task writes it.
        if self.number.load(Ordering::Relaxed) & 1 == 0 {
            self.number.fetch_add(1, Ordering::Relaxed);
        }
        self.begun.notify_one();
    }

    /// All bytes were written.
    fn written(&self) {
        if self.number.load(Ordering::Relaxed) & 1 == 1 {
            self.number.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends once an answer was not taken: a whole `within` has passed in which it was being written.
    pub(super) async fn overdue(&self, within: Duration) {
        loop {
            self.begun.notified().await;
            loop {
                let number = self.number.load(Ordering::Relaxed);
                if number & 1 == 0 {
                    break;
                }
                sleep(within).await;
                if self.number.load(Ordering::Relaxed) == number {
                    return;
                }
            }
        }
    }
}

/// A socket that says when all was written.
#[derive(Debug)]
pub(super) struct Written<S> {
    socket: S,
    answers: Arc<Answers>,
}

impl<S> Written<S> {
    pub(super) const fn new(socket: S, answers: Arc<Answers>) -> Self {
        Self { socket, answers }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Written<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Written<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// It is asked for once everything that was to be written is.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.answers.written();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
