//! The cookies of sign-in: the session, and what a sign-in that has begun must bring back.

use axum::http::{HeaderMap, HeaderValue, header};

/// Which cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieName {
    Session,
    /// Between going to the issuer and coming back.
    SignIn,
}

/// How cookies are set here. Over HTTPS they carry the `__Host-` prefix: no other host of the domain, and nobody in between, can set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookies {
    pub secure: bool,
}

impl Cookies {
    fn name(self, which: CookieName) -> &'static str {
        match (which, self.secure) {
            (CookieName::Session, true) => "__Host-emcrm",
            (CookieName::Session, false) => "emcrm",
            (CookieName::SignIn, true) => "__Host-emcrm-sign-in",
            (CookieName::SignIn, false) => "emcrm-sign-in",
        }
    }

    /// The value that the browser sent; none when it sent two, because then somebody else set one.
    pub fn read(self, headers: &HeaderMap, which: CookieName) -> Option<String> {
        let name = self.name(which);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut found = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('=')).filter(|(have, _)| *have == name);
        let (_, value) = found.next()?;
        found.next().is_none().then(|| value.to_owned())
    }

    /// `lax`, so that a link from a mail or from the issuer arrives with it; what changes something asks for more than the cookie.
    pub fn set(self, which: CookieName, value: &str, seconds: i64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        HeaderValue::try_from(format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.name(which))).ok()
    }

    pub fn clear(self, which: CookieName) -> Option<HeaderValue> {
        self.set(which, "", 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_by_its_name_and_never_twice() {
        let read = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(line));
            Cookies { secure: true }.read(&headers, CookieName::Session)
        };
        assert_eq!(read("a=b; __Host-emcrm=x; c=d").as_deref(), Some("x"));
        assert_eq!(read("emcrm=x"), None, "without its prefix anybody could have set it");
        assert_eq!(read("__Host-emcrm=x; __Host-emcrm=y"), None);
        let set = Cookies { secure: true }.set(CookieName::Session, "x", 60).unwrap();
        assert_eq!(set.to_str().unwrap(), "__Host-emcrm=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
    }
}
