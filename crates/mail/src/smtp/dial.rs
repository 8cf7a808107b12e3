//! From a host name to a session that is ready for mail: TCP, greeting, EHLO, TLS, sign-in.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Shared;
use super::reply::Reply;
use super::settings::{BadSmtpSettings, Credentials, SmtpSettings, TlsMode};
use super::wire::{Broken, Io, Wire};

/// What the server offers (EHLO).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of keywords, each there or not")]
pub(crate) struct Offers {
    pub(crate) pipelining: bool,
    pub(crate) eight_bit: bool,
    pub(crate) utf8: bool,
    pub(crate) size: bool,
    starttls: bool,
    plain: bool,
    login: bool,
}

/// The text says why the server cannot be used.
pub(crate) type Why = String;

pub(crate) fn tls(ca_file: Option<&Path>) -> Result<TlsConnector, BadSmtpSettings> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        let bad = |cause: String| BadSmtpSettings::CaFile { path: path.display().to_string(), cause };
        let mut found = 0;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|e| bad(e.to_string()))? {
            roots.add(certificate.map_err(|e| bad(e.to_string()))?).map_err(|e| bad(e.to_string()))?;
            found += 1;
        }
        if found == 0 {
            return Err(bad("it holds no certificate".to_owned()));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| BadSmtpSettings::CaFile { path: String::new(), cause: e.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A signed-in session, within the timeout.
pub(crate) async fn dial(shared: &Shared) -> Result<(Wire<Box<dyn Io>>, Offers), Why> {
    let within = shared.settings.timeout;
    let result = timeout(within, dial_unbounded(shared)).await;
    let result = result.unwrap_or_else(|_| Err(format!("not ready within {} seconds", within.as_secs_f32())));
    result.map_err(|why| format!("{}: {why}", shared.settings))
}

async fn dial_unbounded(shared: &Shared) -> Result<(Wire<Box<dyn Io>>, Offers), Why> {
    let settings = &shared.settings;
    let within = settings.timeout;
    let tcp = tcp(settings).await?;
    let peer = tcp.peer_addr().map_err(|e| e.to_string())?;
    let hello = hello(settings, tcp.local_addr().map_err(|e| e.to_string())?);

    let (mut wire, offers) = if settings.tls == TlsMode::Implicit {
        let mut wire = Wire::new(handshake(shared, tcp).await?).boxed();
        greeting(&mut wire, within).await?;
        let offers = ehlo(&mut wire, &hello, within).await?;
        (wire, offers)
    } else {
        let mut wire = Wire::new(tcp);
        greeting(&mut wire, within).await?;
        let offers = ehlo(&mut wire, &hello, within).await?;
        let wanted = match settings.tls {
            TlsMode::Required if !offers.starttls => return Err("it does not offer STARTTLS, which is required".to_owned()),
            TlsMode::Off => false,
            _ => offers.starttls,
        };
        if wanted {
            let wire = starttls(wire, within).await?;
            let mut wire = Wire::new(handshake(shared, wire).await?).boxed();
            // What was offered before is forgotten (RFC 3207 4.2).
            let offers = ehlo(&mut wire, &hello, within).await?;
            (wire, offers)
        } else {
            if settings.credentials.is_some() && !peer.ip().is_loopback() {
                return Err("it offers no encryption, and the password is not sent without".to_owned());
            }
            (wire.boxed(), offers)
        }
    };
    if let Some(credentials) = &settings.credentials {
        sign_in(&mut wire, offers, credentials, within).await?;
    }
    Ok((wire, offers))
}

async fn tcp(settings: &SmtpSettings) -> Result<TcpStream, Why> {
    let addresses = tokio::net::lookup_host((settings.host.as_str(), settings.port)).await.map_err(|e| format!("the name cannot be resolved: {e}"))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let mut last = "the name has no address".to_owned();
    // Each address gets its share of the time, so that a dead one does not use it up.
    let share = settings.timeout / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                tcp.set_nodelay(true).map_err(|e| e.to_string())?;
                return Ok(tcp);
            }
            Ok(Err(error)) => last = format!("no connection: {error}"),
            Err(_) => last = format!("no connection within {} seconds", share.as_secs_f32()),
        }
    }
    Err(last)
}

/// RFC 5321 4.1.4: a host without a name of its own says its address.
fn hello(settings: &SmtpSettings, local: SocketAddr) -> String {
    match (&settings.hello, local.ip().to_canonical()) {
        (Some(name), _) => name.clone(),
        (None, IpAddr::V4(ip)) => format!("[{ip}]"),
        (None, IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
    }
}

async fn greeting<S: Io + 'static>(wire: &mut Wire<S>, within: Duration) -> Result<(), Why> {
    let reply = wire.reply(within).await.map_err(Broken::into_cause)?;
    if reply.code == 220 { Ok(()) } else { Err(format!("it greeted with: {reply}")) }
}

async fn ehlo<S: Io + 'static>(wire: &mut Wire<S>, name: &str, within: Duration) -> Result<Offers, Why> {
    let reply = wire.ask(&format!("EHLO {name}\r\n"), within).await.map_err(Broken::into_cause)?;
    if reply.code == 250 {
        return Ok(offers(&reply));
    }
    // A server from before ESMTP (RFC 5321 3.2).
    if matches!(reply.code, 500 | 501 | 502 | 504 | 550) {
        let helo = wire.ask(&format!("HELO {name}\r\n"), within).await.map_err(Broken::into_cause)?;
        if helo.code == 250 {
            return Ok(Offers::default());
        }
    }
    Err(format!("it answered EHLO with: {reply}"))
}

fn offers(reply: &Reply) -> Offers {
    let mut offers = Offers::default();
    for line in reply.lines().skip(1) {
        let upper = line.to_ascii_uppercase();
        let mut words = upper.split([' ', '=']).filter(|word| !word.is_empty());
        match words.next() {
            Some("PIPELINING") => offers.pipelining = true,
            Some("8BITMIME") => offers.eight_bit = true,
            Some("SMTPUTF8") => offers.utf8 = true,
            Some("SIZE") => offers.size = true,
            Some("STARTTLS") => offers.starttls = true,
            Some("AUTH") => {
                for mechanism in words {
                    offers.plain |= mechanism == "PLAIN";
                    offers.login |= mechanism == "LOGIN";
                }
            }
            _ => {}
        }
    }
    offers
}

async fn starttls(mut wire: Wire<TcpStream>, within: Duration) -> Result<TcpStream, Why> {
    let reply = wire.ask("STARTTLS\r\n", within).await.map_err(Broken::into_cause)?;
    if reply.code != 220 {
        return Err(format!("it answered STARTTLS with: {reply}"));
    }
    // What was slipped in before the encryption must not be read as if it came after.
    if wire.has_input() {
        return Err("it sent something between STARTTLS and the encryption".to_owned());
    }
    Ok(wire.into_inner())
}

async fn handshake(shared: &Shared, tcp: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Why> {
    let name = ServerName::try_from(shared.settings.host.clone()).map_err(|_| "its name cannot be in a certificate".to_owned())?;
    shared.tls.connect(name, tcp).await.map_err(|e| format!("no encryption: {e}"))
}

async fn sign_in(wire: &mut Wire<Box<dyn Io>>, offers: Offers, credentials: &Credentials, within: Duration) -> Result<(), Why> {
    let Credentials { user, password } = credentials;
    let (secrets, steps) = if offers.plain {
        let token = BASE64.encode(format!("\0{user}\0{password}"));
        (vec![token.clone()], vec![format!("AUTH PLAIN {token}\r\n")])
    } else if offers.login {
        let (user, password) = (BASE64.encode(user), BASE64.encode(password));
        (vec![user.clone(), password.clone()], vec!["AUTH LOGIN\r\n".to_owned(), format!("{user}\r\n"), format!("{password}\r\n")])
    } else {
        return Err("it offers neither AUTH PLAIN nor AUTH LOGIN".to_owned());
    };
    // Some servers repeat what they did not like.
    let redact =
        |words: String| secrets.iter().chain([password]).filter(|secret| !secret.is_empty()).fold(words, |words, secret| words.replace(secret.as_str(), "…"));
    let last = steps.len() - 1;
    for (n, step) in steps.iter().enumerate() {
        let reply = wire.ask(step, within).await.map_err(|broken| redact(broken.into_cause()))?;
        if reply.code != if n == last { 235 } else { 334 } {
            return Err(redact(format!("the sign-in was refused: {reply}")));
        }
    }
    Ok(())
}
