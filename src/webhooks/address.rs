//! Where a webhook may point to: which URLs and which addresses are taken.
//!
//! Every address is checked after its name was resolved and before it is connected to, so a name that changes between
//! definition and delivery reaches nothing that it may not.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Most bytes of a URL.
pub const URL_BYTES_MAX: usize = 2_048;
/// How long a name may take to resolve where a webhook is defined.
const DEFINED_WITHIN: Duration = Duration::from_secs(2);

/// Which addresses deliveries may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses, by HTTPS.
    Public,
    /// Any address, by HTTP as well.
    Private,
}

/// Why a URL is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Not a URL with a host.
    #[error("must be a URL such as https://example.com/hook, of at most 2048 bytes")]
    NoUrl,
    /// Neither HTTPS nor, where it is allowed, HTTP.
    #[error("must begin with https://; http:// needs a server with --webhooks-to-private")]
    Scheme,
    /// With a user name, a password or a fragment.
    #[error("must have no user name, password or fragment")]
    Parts,
    /// The host's address is not public.
    #[error("must have a public address; others need a server with --webhooks-to-private")]
    NotPublic,
}

/// The addresses of a name may not be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is not public; such addresses need a server with --webhooks-to-private")]
pub struct NotPublic;

impl Reach {
    /// Parses a URL. A host that is an address is checked here; for a name see [`Reach::check_name`].
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn parse(self, text: &str) -> Result<Url, BadUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(BadUrl::NoUrl);
        }
        let url = Url::parse(text).map_err(|_bad| BadUrl::NoUrl)?;
        match (url.scheme(), self) {
            ("https", _) | ("http", Self::Private) => {}
            _ => return Err(BadUrl::Scheme),
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadUrl::NoUrl)?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(BadUrl::Parts);
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.takes(address) => Err(BadUrl::NotPublic),
            Err(_name) if self == Self::Public && is_local_name(host) => Err(BadUrl::NotPublic),
            Ok(_) | Err(_) => Ok(url),
        }
    }

    /// Whether this address may be connected to.
    #[must_use]
    pub fn takes(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Private => true,
        }
    }

    /// Resolves the host of a URL once, and refuses it if none of its addresses may be connected to. A name that does
    /// not resolve now is accepted: it is checked again with each delivery.
    ///
    /// # Errors
    /// [`BadUrl::NotPublic`].
    pub async fn check_name(self, url: &Url) -> Result<(), BadUrl> {
        let Some(host) = url.host_str() else { return Err(BadUrl::NoUrl) };
        let Ok(Ok(found)) = timeout(DEFINED_WITHIN, tokio::net::lookup_host((host, 0))).await else { return Ok(()) };
        let addresses: Vec<SocketAddr> = found.collect();
        let refused = !addresses.is_empty() && !addresses.iter().any(|address| self.takes(address.ip()));
        if refused { Err(BadUrl::NotPublic) } else { Ok(()) }
    }
}

/// Finds the addresses of a name. May block for as long as name servers do not answer.
pub type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// The lookup by the system's resolver.
///
/// # Errors
/// The resolver's.
pub fn system_lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
    (name, 0).to_socket_addrs().map(Iterator::collect)
}

/// A resolver whose addresses may all be connected to.
#[derive(Debug)]
pub struct CheckedResolver {
    reach: Reach,
    lookup: Lookup,
    turns: Arc<Semaphore>,
}

impl CheckedResolver {
    /// For this reach, with at most so many names at once: each occupies a thread for as long as its lookup takes,
    /// also if nobody waits for it any more.
    #[must_use]
    pub fn new(reach: Reach, lookup: Lookup, at_once: usize) -> Self {
        Self { reach, lookup, turns: Arc::new(Semaphore::new(at_once)) }
    }

    /// The addresses of a name that may be connected to; one at least.
    ///
    /// # Errors
    /// The lookup's, or [`NotPublic`].
    pub async fn addresses(&self, name: Name) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
        resolved(self.reach, self.lookup, Arc::clone(&self.turns), name).await
    }
}

impl Resolve for CheckedResolver {
    /// Resolves a name; addresses that may not be connected to are left out.
    fn resolve(&self, name: Name) -> Resolving {
        let Self { reach, lookup, turns } = self;
        Box::pin(resolved(*reach, *lookup, Arc::clone(turns), name))
    }
}

async fn resolved(
    reach: Reach,
    lookup: Lookup,
    turns: Arc<Semaphore>,
    name: Name,
) -> Result<Addrs, Box<dyn Error + Send + Sync>> {
    let turn = turns.acquire_owned().await?;
    let looking = tokio::task::spawn_blocking(move || {
        // Held until the lookup ends, since the thread is occupied so long.
        let _turn = turn;
        lookup(name.as_str())
    });
    let found = looking.await??.into_iter();
    let taken: Vec<SocketAddr> = found.filter(|address| reach.takes(address.ip())).collect();
    if taken.is_empty() { Err(NotPublic.into()) } else { Ok(Box::new(taken.into_iter())) }
}

/// Names that never are public ones.
fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || [".localhost", ".local", ".internal"].iter().any(|suffix| host.ends_with(suffix))
}

/// Whether an address belongs to the public internet: not this machine, a private or shared network, a link, a
/// multicast group, or a range that is reserved or holds another address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, private, loopback, multicast, reserved; link-local; protocol assignments and documentation;
        // relays to IPv6; private; benchmarks; documentation.
        [0 | 10 | 127 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [192, 168, ..]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => true,
        // Shared by carriers; private.
        [100, second, ..] => second & 0xc0 == 64,
        [172, second, ..] => second & 0xf0 == 16,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Translated by the network to an IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Assignments to protocols (Teredo among them), documentation, and tunnels that hold an IPv4 address.
        [0x2001, second, ..] => second >= 0x200 && second != 0xdb8,
        [0x2002, ..] => false,
        [0x3fff, second, ..] => second & 0xf000 != 0,
        // Global unicast; everything else is local, reserved or holds an IPv4 address.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let public = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 \
            169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 \
            198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 2a00:1450::1 2001:4860:4860::8888 \
            64:ff9b::8.8.8.8";
        let other = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254 \
            172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.19.255.255 \
            198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 \
            ::ffff:8.8.8.8 ::ffff:127.0.0.1 ::8.8.8.8 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1 \
            100::1 2001::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 3fff::1 fc00::1 fd12:3456::1 \
            fe80::1 fec0::1 ff02::1 5f00::1";
        for (list, wanted) in [(public, true), (other, false)] {
            for text in list.split_whitespace() {
                let address: IpAddr = text.parse().expect(text);
                assert_eq!(is_public(address), wanted, "{text}");
                assert!(Reach::Private.takes(address));
            }
        }
    }

    #[test]
    fn urls_are_https_to_public_hosts_unless_the_server_allows_more() {
        let table = [
            ("https://example.com/hook?a=b", Ok(()), Ok(())),
            ("https://8.8.8.8:8443/", Ok(()), Ok(())),
            ("https://[2606:4700::1111]/", Ok(()), Ok(())),
            ("http://example.com/", Err(BadUrl::Scheme), Ok(())),
            ("ftp://example.com/", Err(BadUrl::Scheme), Err(BadUrl::Scheme)),
            ("https://127.0.0.1/", Err(BadUrl::NotPublic), Ok(())),
            ("https://2130706433/", Err(BadUrl::NotPublic), Ok(())),
            ("https://0x7f.1/", Err(BadUrl::NotPublic), Ok(())),
            ("https://0177.0.0.1/", Err(BadUrl::NotPublic), Ok(())),
            ("https://[::1]/", Err(BadUrl::NotPublic), Ok(())),
            ("https://[::ffff:10.0.0.1]/", Err(BadUrl::NotPublic), Ok(())),
            ("https://localhost/", Err(BadUrl::NotPublic), Ok(())),
            ("https://LOCALHOST./", Err(BadUrl::NotPublic), Ok(())),
            ("https://metadata.google.internal/", Err(BadUrl::NotPublic), Ok(())),
            ("https://user@example.com/", Err(BadUrl::Parts), Err(BadUrl::Parts)),
            ("https://:secret@example.com/", Err(BadUrl::Parts), Err(BadUrl::Parts)),
            ("https://example.com/#part", Err(BadUrl::Parts), Err(BadUrl::Parts)),
            ("", Err(BadUrl::NoUrl), Err(BadUrl::NoUrl)),
            ("example.com", Err(BadUrl::NoUrl), Err(BadUrl::NoUrl)),
            ("https://", Err(BadUrl::NoUrl), Err(BadUrl::NoUrl)),
        ];
        for (text, public, private) in table {
            assert_eq!(Reach::Public.parse(text).map(|_| ()), public, "{text}");
            assert_eq!(Reach::Private.parse(text).map(|_| ()), private, "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(Reach::Public.parse(&long), Err(BadUrl::NoUrl));
    }

    #[tokio::test]
    async fn a_name_with_private_addresses_alone_is_refused_when_it_is_resolved() {
        let name = || "localhost".parse::<Name>().expect("a name");
        let resolver = |reach| CheckedResolver::new(reach, system_lookup, 1);
        let refused = resolver(Reach::Public).resolve(name()).await;
        assert!(refused.err().expect("refused").is::<NotPublic>());
        let taken = resolver(Reach::Private).resolve(name()).await.expect("addresses");
        assert!(taken.count() > 0);
        let url = Url::parse("https://localhost/").expect("a URL");
        assert_eq!(Reach::Public.check_name(&url).await, Err(BadUrl::NotPublic));
        assert_eq!(Reach::Private.check_name(&url).await, Ok(()));
    }

    #[tokio::test]
    async fn a_lookup_that_does_not_end_keeps_its_turn_and_takes_none_from_another_resolver() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static ENDED: AtomicBool = AtomicBool::new(false);
        let name = || "name.example".parse::<Name>().expect("a name");
        let stuck = CheckedResolver::new(
            Reach::Private,
            |_name| {
                RUNNING.fetch_add(1, Ordering::SeqCst);
                while !ENDED.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(vec![SocketAddr::from(([10, 0, 0, 1], 0))])
            },
            2,
        );
        for _ in 0..6 {
            assert!(timeout(Duration::from_millis(100), stuck.resolve(name())).await.is_err(), "it does not end");
        }
        assert_eq!(RUNNING.load(Ordering::SeqCst), 2, "as many threads as turns, also after callers have given up");
        let other = CheckedResolver::new(Reach::Private, |_name| Ok(vec![SocketAddr::from(([10, 0, 0, 2], 0))]), 1);
        assert_eq!(other.resolve(name()).await.expect("an address").count(), 1);
        ENDED.store(true, Ordering::SeqCst);
        assert_eq!(stuck.resolve(name()).await.expect("its turn comes").count(), 1);
    }
}
