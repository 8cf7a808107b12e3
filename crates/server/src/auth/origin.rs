//! Where a change comes from. Browsers say so with every request that could change something; programs say nothing, and hold no cookies.

use axum::http::{HeaderMap, header};

/// Whether a page of this installation, or no page at all, asks for the change.
pub fn is_ours(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let (Some((_, authority)), Some(host)) = (origin.split_once("://"), host) else { return false };
    // Behind a proxy the name that the browser knows is that of the public address.
    let public = public_url.and_then(|url| url::Url::parse(url).ok()).is_some_and(|url| url.origin().ascii_serialization() == origin);
    authority.eq_ignore_ascii_case(host) || public
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_our_own_pages_and_programs_may_change_something() {
        let ours = |pairs: &[(&'static str, &'static str)]| is_ours(&headers(pairs), Some("https://crm.example.org"));
        assert!(ours(&[]), "a program");
        assert!(ours(&[("sec-fetch-site", "same-origin"), ("origin", "https://elsewhere.example")]), "the newer header is set by the browser alone");
        assert!(ours(&[("sec-fetch-site", "none")]), "typed by a person");
        assert!(!ours(&[("sec-fetch-site", "cross-site")]) && !ours(&[("sec-fetch-site", "same-site")]));
        assert!(ours(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")]));
        assert!(ours(&[("origin", "https://crm.example.org"), ("host", "10.0.0.7:8080")]), "behind a proxy");
        for other in ["null", "https://elsewhere.example", "http://127.0.0.1:8081", "https://crm.example.org.evil.example", ""] {
            assert!(
                !is_ours(&[(header::ORIGIN, other.parse().unwrap()), (header::HOST, "127.0.0.1:8080".parse().unwrap())].into_iter().collect(), None),
                "{other}"
            );
        }
    }
}
