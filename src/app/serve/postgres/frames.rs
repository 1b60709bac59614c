//! Holds back messages until they are whole and well-formed: a stream that breaks off where one is not.
//!
//! pgwire believes the lengths that a message claims, up to 1 GiB, and panics where one within it is wrong.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::bytes::{Buf as _, BytesMut};

/// The longest message: a query and its parameters.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The longest first message, which has no kind before its length; PostgreSQL's own bound.
const FIRST_BYTES_MAX: usize = 10_000;

/// How much is read at a time.
const PORTION: usize = 8_192;

/// The code of a first message that stops a query; it is followed by a number and a secret.
const CANCEL: u32 = 80_877_102;

/// A stream of good messages.
pub(super) struct Frames<S> {
    stream: S,
    read: BytesMut,
    /// So many bytes of them are whole messages.
    n_whole: usize,
    /// Whether messages have a kind before their length.
    has_kinds: bool,
    /// Why nothing passes after these.
    fault: Option<Error>,
}

impl<S> Frames<S> {
    /// A stream of which the head of the first message was read already.
    pub(super) fn new(stream: S, head: &[u8]) -> Self {
        Self { stream, read: BytesMut::from(head), n_whole: 0, has_kinds: false, fault: None }
    }

    /// Lets whole messages pass.
    fn admit(&mut self) -> Result<()> {
        while let Some(length) = self.next_message()? {
            self.n_whole += length;
            self.has_kinds = true;
        }
        Ok(())
    }

    /// The length of the next message, once it is there; an error where it is none.
    fn next_message(&self) -> Result<Option<usize>> {
        let wrong = |why: &str| Err(Error::new(ErrorKind::InvalidData, why));
        let bytes = &self.read[self.n_whole..];
        let (n_kind, most) = if self.has_kinds { (1, MESSAGE_BYTES_MAX) } else { (0, FIRST_BYTES_MAX) };
        let Some(length) = bytes.get(n_kind..n_kind + 4).map(|mut length| length.get_u32() as usize) else {
            return Ok(None);
        };
        if length < 4 || length > most {
            return wrong("a message is too long");
        }
        let Some(body) = bytes.get(n_kind + 4..n_kind + length) else { return Ok(None) };
        let good = if self.has_kinds { is_message(bytes[0], MessageBody(body)) } else { is_first(MessageBody(body)) };
        if good.is_none() {
            return wrong("a message is not well-formed");
        }
        Ok(Some(n_kind + length))
    }
}

/// What is left of a message's body.
pub(super) struct MessageBody<'a>(pub(super) &'a [u8]);

impl<'a> MessageBody<'a> {
    /// Text up to a zero byte.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    pub(super) fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(bytes)
    }

    fn short(&mut self) -> Option<usize> {
        self.bytes(2).map(|mut bytes| usize::from(bytes.get_u16()))
    }

    /// A length; negative ones stand for nothing.
    pub(super) fn length(&mut self) -> Option<usize> {
        self.bytes(4).map(|mut bytes| usize::try_from(bytes.get_i32()).unwrap_or_default())
    }

    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// Whether a first message is one: its code, and pairs of texts or a number and a secret.
fn is_first(mut body: MessageBody<'_>) -> Option<()> {
    let code = body.bytes(4)?.get_u32();
    if code == CANCEL {
        return (8..=256).contains(&body.0.len()).then_some(());
    }
    while !body.text()?.is_empty() {
        body.text()?;
    }
    body.end()
}

/// Whether a message of this kind has the parts that it must have.
fn is_message(kind: u8, mut body: MessageBody<'_>) -> Option<()> {
    match kind {
        b'Q' | b'f' => _ = body.text()?,
        b'P' => {
            body.text()?;
            body.text()?;
            let n = body.short()?;
            body.bytes(4 * n)?;
        }
        b'B' => {
            body.text()?;
            body.text()?;
            let formats = body.short()?;
            body.bytes(2 * formats)?;
            for _ in 0..body.short()? {
                let length = body.length()?;
                body.bytes(length)?;
            }
            let formats = body.short()?;
            body.bytes(2 * formats)?;
        }
        b'D' | b'C' => {
            body.bytes(1).filter(|of| [b"S", b"P"].contains(&of.first_chunk().unwrap_or(&[0])))?;
            body.text()?;
        }
        b'E' => {
            body.text()?;
            body.bytes(4)?;
        }
        b'S' | b'H' | b'X' | b'c' => {}
        // What is in a password's message depends on what was asked; nobody copies.
        b'p' | b'd' => return Some(()),
        _ => return None,
    }
    body.end()
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        while self.n_whole == 0 {
            if let Some(fault) = self.fault.take() {
                return Poll::Ready(Err(fault));
            }
            let mut portion = [0; PORTION];
            let mut fresh = ReadBuf::new(&mut portion);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut fresh))?;
            if fresh.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.read.extend_from_slice(fresh.filled());
            self.fault = self.admit().err();
        }
        let n = self.n_whole.min(buffer.remaining());
        buffer.put_slice(&self.read[..n]);
        self.read.advance(n);
        self.n_whole -= n;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("a length");
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    /// What passes of these bytes, and whether that was all.
    fn passed(bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut frames = Frames::new(bytes, &[]);
        let mut passed = Vec::new();
        let whole = block_on(frames.read_to_end(&mut passed)).is_ok();
        (passed, whole)
    }

    #[test]
    fn good_messages_pass_and_the_first_bad_one_ends_the_stream() {
        let hello = [&16_u32.to_be_bytes()[..], &196_608_u32.to_be_bytes(), b"user\0a\0\0"].concat();
        let good = [
            hello,
            message(b'p', b"anything"),
            message(b'Q', b"SELECT 1\0"),
            message(b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x19"),
            message(b'B', b"\0s\0\0\x01\0\0\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0"),
            message(b'D', b"Ss\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'S', b""),
        ]
        .concat();
        assert_eq!(passed(&good), (good.clone(), true));
        for bad in [
            message(b'Q', b"no end"),
            message(b'Q', b"two\0ends\0"),
            message(b'P', b"s\0SELECT $1\0\0\x09\0\0\0\x19"),
            message(b'B', b"\0s\0\0\0\0\x01\0\0\x40\x01x\0\0"),
            message(b'D', b"Xs\0"),
            message(b'E', b"\0\0\0"),
            message(b'S', b"x"),
            message(b'~', b""),
            [&b"Q"[..], &(1_u32 << 30).to_be_bytes()].concat(),
            [&b"Q"[..], &3_u32.to_be_bytes()].concat(),
        ] {
            assert_eq!(passed(&[&good[..], &bad].concat()), (good.clone(), false), "{bad:?}");
        }
    }

    #[test]
    fn a_first_message_is_checked_too() {
        let first = |code: u32, body: &[u8]| {
            let length = u32::try_from(body.len() + 8).expect("a length");
            passed(&[&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()).1
        };
        assert!(first(196_608, b"user\0a\0\0") && first(196_608, b"\0") && first(CANCEL, &[1; 8]));
        assert!(!first(196_608, b"user\0a\0") && !first(196_608, b"user\0") && !first(CANCEL, &[1; 7]));
        assert!(!first(196_608, b"user\0a\0\0x"), "bytes after its end");
        assert!(!passed(&10_001_u32.to_be_bytes()).1);
    }
}
