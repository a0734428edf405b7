use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// A connection that fails when its peer takes no byte for too long, so that who asks for a
/// gigabyte and does not read it cannot hold a place for ever.
pub(crate) struct WriteStall<T> {
    inner: T,
    limit: Duration,
    /// Set while a write waits for the peer.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<T: AsyncWrite + Unpin> WriteStall<T> {
    pub(crate) fn new(inner: T, limit: Duration) -> Self {
        Self { inner, limit, deadline: None }
    }

    /// What a write came to, unless it has waited too long.
    fn judge<R>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let limit = self.limit;
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stopped reading")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteStall<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteStall<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.inner).poll_shutdown(context);
        self.judge(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_stops_reading_is_given_up() {
        let (near, _far) = duplex(16);
        let mut near = WriteStall::new(near, Duration::from_millis(20));
        let error = near.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_slow_peer_is_waited_for() {
        let (near, mut far) = duplex(16);
        let mut near = WriteStall::new(near, Duration::from_millis(500));
        let sender = tokio::spawn(async move { near.write_all(&[7; 64]).await });
        for _ in 0..64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(far.read_u8().await.unwrap(), 7);
        }
        sender.await.unwrap().unwrap();
    }
}
