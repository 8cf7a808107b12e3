//! What is refused before anything else looks at a request: names that are not ours, and callers who ask too often.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;

use crate::api::error::Problem;
use crate::config::Config;

/// Seconds of a limit that may be used at once.
const BURST: u32 = 5;

/// How often, for each caller; 0 for no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct GateLimits {
    /// Reads a second of somebody who is signed in.
    pub reads: u32,
    /// Writes a second of somebody who is signed in.
    pub writes: u32,
    /// Requests a second of one address to pages for everybody, and of whoever does not say who he is.
    pub public: u32,
    /// Attempts to sign in, and wrong tokens, a minute of one address.
    pub sign_ins: u32,
}

/// Settings of the gate.
#[derive(Debug, Clone, Default)]
pub struct GateSettings {
    pub limits: GateLimits,
    /// Names besides `localhost` and plain addresses; `*` for any.
    pub hosts: Vec<String>,
    /// Proxies whose word about the caller's address is believed.
    pub proxies: Vec<IpNet>,
    /// People reach us by HTTPS only: browsers shall remember it.
    pub https: bool,
}

impl GateSettings {
    pub fn of(config: &Config) -> Self {
        let app = &config.app;
        let public = app.public_url.as_ref().and_then(|url| url::Url::parse(url.as_str()).ok());
        let named = public.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
        Self {
            limits: GateLimits { reads: app.limit_reads.0, writes: app.limit_writes.0, public: app.limit_public.0, sign_ins: app.limit_sign_ins.0 },
            hosts: named.into_iter().chain(app.allowed_hosts.iter().flat_map(|names| names.0.clone())).collect(),
            proxies: app.trusted_proxies.as_ref().map(|networks| networks.0.clone()).unwrap_or_default(),
            https: public.is_some_and(|url| url.scheme() == "https"),
        }
    }
}

/// Kinds of requests that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Read,
    Write,
    Public,
    SignIn,
}

type Limiter = RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>;

pub struct Gate {
    settings: GateSettings,
    reads: Option<Limiter>,
    writes: Option<Limiter>,
    public: Option<Limiter>,
    sign_ins: Option<Limiter>,
}

/// How a caller stands, for the headers of the answer.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until everything is there again.
    pub reset: u32,
}

impl Allowance {
    pub fn write(self, headers: &mut HeaderMap) {
        headers.insert("ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("ratelimit-reset", HeaderValue::from(self.reset));
    }
}

fn limiter(quota: Option<Quota>) -> Option<Limiter> {
    quota.map(|quota| RateLimiter::keyed(quota).with_middleware())
}

fn a_second(rate: u32) -> Option<Quota> {
    let rate = NonZeroU32::new(rate)?;
    Some(Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::new(BURST)?)))
}

impl Gate {
    pub fn new(settings: GateSettings) -> Self {
        let GateLimits { reads, writes, public, sign_ins } = settings.limits;
        Self {
            reads: limiter(a_second(reads)),
            writes: limiter(a_second(writes)),
            public: limiter(a_second(public)),
            sign_ins: limiter(NonZeroU32::new(sign_ins).map(Quota::per_minute)),
            settings,
        }
    }

    pub fn https(&self) -> bool {
        self.settings.https
    }

    /// A name that is not ours means that a page was made to believe that we are its own server (DNS rebinding), or that a link is being forged.
    pub fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
        let named = headers.get(header::HOST).map(HeaderValue::to_str).or_else(|| uri.host().map(Ok));
        let Some(named) = named else { return Ok(()) };
        if named.is_ok_and(|named| self.knows(named)) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            "This installation does not answer to that name. APP_PUBLIC_URL and APP_ALLOWED_HOSTS say which it has.",
        ))
    }

    fn knows(&self, named: &str) -> bool {
        // A name with its port; the brackets of an IPv6 address belong to it.
        let name = match named.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => named,
        };
        let plain = name.trim_start_matches('[').trim_end_matches(']');
        // Nobody can make a name of an address.
        if plain.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        self.settings.hosts.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(name))
    }

    /// Whether this is a proxy of ours, which speaks for others.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.settings.proxies.iter().any(|network| network.contains(&peer))
    }

    /// Who asks: whoever is connected, or whom a proxy of ours speaks for.
    pub fn client(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer?.ip().to_canonical();
        let ours = |ip: &IpAddr| self.is_proxy(*ip);
        if !ours(&peer) {
            return Some(peer);
        }
        let lines: Vec<&str> = headers.get_all("x-forwarded-for").into_iter().map(|line| line.to_str().unwrap_or_default()).collect();
        // From the end: each proxy adds whom it saw, and only what ours have added can be believed. Before a part that is no address stands what anybody wrote.
        let said = lines.iter().flat_map(|line| line.split(',')).rev().map(|part| forwarded(part.trim()));
        Some(said.take_while(Option::is_some).flatten().find(|ip| !ours(ip)).unwrap_or(peer))
    }

    /// Counts a request; an error when it is one too many.
    pub fn count(&self, class: Class, caller: &str) -> Result<Option<Allowance>, Problem> {
        let limiter = match class {
            Class::Read => &self.reads,
            Class::Write => &self.writes,
            Class::Public => &self.public,
            Class::SignIn => &self.sign_ins,
        };
        let Some(limiter) = limiter else { return Ok(None) };
        match limiter.check_key(&caller.to_owned()) {
            Ok(state) => {
                let quota = state.quota();
                let (limit, remaining) = (quota.burst_size().get(), state.remaining_burst_capacity());
                let reset = quota.replenish_interval().saturating_mul(limit.saturating_sub(remaining));
                Ok(Some(Allowance { limit, remaining, reset: seconds(reset) }))
            }
            Err(until) => {
                let wait = seconds(until.wait_time_from(DefaultClock::default().now())).max(1);
                let limit = until.quota().burst_size().get();
                Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests; wait a little.")
                    .retry_after(wait)
                    .allowance(Allowance { limit, remaining: 0, reset: wait }))
            }
        }
    }

    /// The same by an address.
    pub fn count_address(&self, class: Class, from: Option<IpAddr>) -> Result<Option<Allowance>, Problem> {
        self.count(class, &network_of(from))
    }

    /// Forgets callers who have been quiet.
    pub fn upkeep(&self) {
        for limiter in [&self.reads, &self.writes, &self.public, &self.sign_ins].into_iter().flatten() {
            limiter.retain_recent();
        }
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs() + u64::from(time.subsec_nanos() > 0)).unwrap_or(u32::MAX)
}

/// One household has a whole network of IPv6 addresses.
pub(crate) fn network_of(from: Option<IpAddr>) -> String {
    match from {
        None => "none".to_owned(),
        Some(IpAddr::V4(ip)) => ip.to_string(),
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Where SNS tells what became of mails.
const SNS: &str = "/mail/events/sns";

/// Whether whoever is refused here must be told 503: SNS sends again what is answered by 5xx, and drops what is answered by 4xx.
pub fn is_of_sns(path: &str) -> bool {
    path.strip_suffix('/').unwrap_or(path) == SNS
}

/// What is for everybody is counted by address, at the gate, and whatever has no route in [`crate::api::health::unknown_route`]. Not counted are `/health…` and
/// `/metrics`, which are for those who watch the process and must get an answer most of all when it is busy, and the files of pages, which are in memory.
pub fn class_of_path(path: &str) -> Option<Class> {
    // Routes are found without it, too.
    match path.strip_suffix('/').unwrap_or(path) {
        "/auth/login" | "/auth/callback" => Some(Class::SignIn),
        "/openapi.json" | SNS | "/auth/session" | "/auth/status" | "/auth/logout" | "/app/signin" | "/app/signedin" | "/app/signout" => Some(Class::Public),
        _ if ["/docs", "/redoc", "/e/", "/r/", "/u/", "/t/"].iter().any(|prefix| path.starts_with(prefix)) => Some(Class::Public),
        _ => None,
    }
}

/// An address as proxies write it: alone, with a port, an IPv6 one with or without its brackets.
fn forwarded(part: &str) -> Option<IpAddr> {
    let bare = part.strip_prefix('[').and_then(|part| part.strip_suffix(']')).unwrap_or(part);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| part.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(hosts: &[&str], proxies: &[&str], limits: GateLimits) -> Gate {
        let proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        Gate::new(GateSettings { limits, hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), proxies, https: false })
    }

    #[test]
    fn only_our_own_names_are_answered_to() {
        let gate = gate(&["crm.example.org"], &[], GateLimits::default());
        for good in ["crm.example.org", "CRM.example.org:443", "localhost:8080", "127.0.0.1", "10.1.2.3:80", "[::1]:8080", "[fd00::1]"] {
            assert!(gate.knows(good), "{good}");
        }
        for bad in ["evil.example", "crm.example.org.evil.example", "localhost.evil.example:8080", "", "127.0.0.1.nip.example", "crm.example.org:80:80"] {
            assert!(!gate.knows(bad), "{bad}");
        }
        assert!(super::Gate::new(GateSettings { hosts: vec!["*".to_owned()], ..GateSettings::default() }).knows("whatever"));
    }

    #[test]
    fn only_our_proxies_are_believed_and_only_what_they_added() {
        let gate = gate(&[], &["10.0.0.0/8"], GateLimits::default());
        let client = |peer: &str, said: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_static(said));
            gate.client(Some(peer.parse().unwrap()), &headers).unwrap().to_string()
        };
        assert_eq!(client("192.0.2.1:5", "198.51.100.7"), "192.0.2.1", "not a proxy of ours");
        assert_eq!(client("10.0.0.1:5", "198.51.100.7"), "198.51.100.7");
        assert_eq!(client("10.0.0.1:5", "1.2.3.4, 198.51.100.7, 10.0.0.2"), "198.51.100.7", "what the client itself said is before");
        assert_eq!(client("10.0.0.1:5", "rubbish"), "10.0.0.1");
        assert_eq!(client("10.0.0.1:5", "1.2.3.4, unknown"), "10.0.0.1", "what stands before it may be anybody's");
        assert_eq!(client("10.0.0.1:5", "1.2.3.4, [2001:db8::1]"), "2001:db8::1");
        assert_eq!(client("10.0.0.1:5", "1.2.3.4, [2001:db8::1]:443, 10.0.0.2:80"), "2001:db8::1");
        assert_eq!(client("[::ffff:10.0.0.1]:5", "2001:db8::1"), "2001:db8::1");
    }

    #[test]
    fn one_caller_too_many_times_is_told_when_to_come_back_and_others_are_not_touched() {
        let gate = gate(&[], &[], GateLimits { writes: 2, ..GateLimits::default() });
        for n in (0..10).rev() {
            assert_eq!(gate.count(Class::Write, "a").unwrap().unwrap().remaining, n);
        }
        assert!(gate.count(Class::Write, "a").is_err());
        assert!(gate.count(Class::Write, "b").is_ok());
        assert!(gate.count(Class::Read, "a").unwrap().is_none(), "no limit");
        assert_eq!(network_of(Some("2001:db8:1:2:3::4".parse().unwrap())), network_of(Some("2001:db8:1:2:ffff::".parse().unwrap())));
    }
}
