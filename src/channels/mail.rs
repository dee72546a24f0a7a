//! Sends a mail: one connection, one message, within bounds of time and of what is read. Never retries. A server that
//! is to encrypt and does not is sent nothing.

#![expect(deprecated, reason = "the only stream of the library that TLS can be put over before the greeting")]

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::io::{AsyncRead as _, AsyncWrite as _};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncNetworkStream, AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::channel::{Secret, Smtp, Tls};
use super::message::Message;
use super::send::{Failure, Names};

/// How long a mail may take, from resolving the name on.
pub(super) const SENT_WITHIN: Duration = Duration::from_secs(30);
/// How long one address may take to connect.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// How long the goodbye may take, once the mail is taken.
const ENDED_WITHIN: Duration = Duration::from_secs(1);
/// Most bytes that are read of a server: certificates are the largest part.
const READ_BYTES_MAX: usize = 256 * 1024;

/// Sends a message, and waits until the server has taken it.
///
/// # Errors
/// [`Failure`].
pub(super) async fn send(smtp: &Smtp, message: &Message, names: &Names, apart: bool) -> Result<(), Failure> {
    let mail = mail(smtp, message).map_err(|error| Failure::for_good(&format!("no mail: {error}")))?;
    let mut connection = match timeout(SENT_WITHIN, exchange(smtp, &mail, names, apart)).await {
        Ok(sent) => sent?,
        Err(_elapsed) => return Err(Failure::for_now("the mail server did not take it within 30 s")),
    };
    // The mail is taken; what comes of the goodbye does not matter.
    let _ended = timeout(ENDED_WITHIN, connection.quit()).await;
    Ok(())
}

fn mail(smtp: &Smtp, message: &Message) -> Result<lettre::Message, lettre::error::Error> {
    let Message { id, at, subject, body, is_test: _ } = message;
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(at.0)).unwrap_or(UNIX_EPOCH);
    // No other program answers an automatic mail.
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    lettre::Message::builder()
        .from(smtp.from.clone())
        .to(smtp.to.clone())
        .subject(subject)
        .date(at)
        .message_id(Some(format!("<{id}@{}>", smtp.from.email.domain())))
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .header(ContentType::TEXT_PLAIN)
        .body(String::from_utf8_lossy(body).into_owned())
}

/// Hands a mail over, and returns the connection on which it was taken.
async fn exchange(
    smtp: &Smtp,
    mail: &lettre::Message,
    names: &Names,
    apart: bool,
) -> Result<AsyncSmtpConnection, Failure> {
    let (tcp, peer) = connected(smtp, names, apart).await?;
    let hello = ClientId::Domain(smtp.from.email.domain().to_owned());
    let mut stream = AsyncNetworkStream::use_existing_tokio1(Box::new(tcp));
    let trusted = || TlsParameters::new_rustls(smtp.server.clone()).map_err(|error| failed(&error));
    if smtp.tls == Tls::Implicit {
        stream.upgrade_tls(trusted()?).await.map_err(|error| failed(&error))?;
    }
    let stream = Bounded { stream, peer, left: READ_BYTES_MAX };
    let mut connection =
        AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await.map_err(|error| failed(&error))?;
    if smtp.tls == Tls::StartTls {
        if !connection.can_starttls() {
            connection.abort().await;
            return Err(Failure::for_good("the mail server does not offer STARTTLS"));
        }
        connection.starttls(trusted()?, &hello).await.map_err(|error| failed(&error))?;
    }
    if let Some((user, Secret(password))) = &smtp.login {
        let credentials = Credentials::new(user.clone(), password.clone());
        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(|error| failed(&error))?;
    }
    connection.send(mail.envelope(), &mail.formatted()).await.map_err(|error| failed(&error))?;
    Ok(connection)
}

/// Connects to the first address that takes the connection.
async fn connected(smtp: &Smtp, names: &Names, apart: bool) -> Result<(TcpStream, SocketAddr), Failure> {
    let addresses: Vec<SocketAddr> = match smtp.server.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, smtp.port)],
        Err(_name) => names.addresses(&smtp.server, smtp.port, apart).await?,
    };
    let mut why = "the mail server's name has no address".to_owned();
    for address in addresses {
        match timeout(CONNECTED_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) => why = format!("no connection to {address}: {error}"),
            Err(_elapsed) => why = format!("no connection to {address} within 10 s"),
        }
    }
    Err(Failure::for_now(&why))
}

/// Refused for good is what the server says with 5xx, and what this client can't do with it.
fn failed(error: &smtp::Error) -> Failure {
    let mut words = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !words.iter().any(|known| known.contains(&error.to_string())) {
            words.push(error.to_string());
        }
        cause = error.source();
    }
    let words = words.join(": ");
    if error.is_permanent() || error.is_client() { Failure::for_good(&words) } else { Failure::for_now(&words) }
}

/// A stream of which only so many bytes are read.
struct Bounded {
    stream: AsyncNetworkStream,
    peer: SocketAddr,
    left: usize,
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("peer", &self.peer).field("left", &self.left).finish_non_exhaustive()
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Bounded {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(Err(io::Error::other("the mail server sends without end")));
        }
        let room = into.initialize_unfilled();
        let most = room.len().min(this.left);
        let Some(room) = room.get_mut(..most) else { return Poll::Ready(Ok(())) };
        let read = ready!(Pin::new(&mut this.stream).poll_read(context, room))?;
        this.left = this.left.saturating_sub(read);
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(context)
    }
}
