//! Where to ship to. A user and password in a URL are handed on and not shown.

use std::fmt;

use super::pairs::decode;

#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Without one, `otlp-insecure` decides.
    scheme: Option<&'static str>,
    /// Host and port.
    authority: String,
    /// Empty or from `/` on.
    pub path: String,
    /// As it was typed, `user:password`.
    user: Option<String>,
}

const FORM: &str = "it has to be a URL such as https://collector.example:4317";

impl Url {
    /// Errors repeat nothing of the text, since there may be a password in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some("http"), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some("https"), rest),
            Some(_) => return Err(format!("has a scheme other than http and https; {FORM}")),
            None => (None, text),
        };
        if rest.contains(['?', '#']) {
            return Err(
                "has a query or a fragment, which are not sent; what is secret belongs into headers"
                    .to_owned(),
            );
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        if user.is_some_and(|user| decode(user).is_none()) {
            return Err(
                "has a `%` in its user or password that no two hexadecimal digits follow"
                    .to_owned(),
            );
        }
        let parsed: Option<http::Uri> = format!("http://{authority}{path}").parse().ok();
        let host = parsed.as_ref().and_then(http::Uri::host).unwrap_or("");
        let port_is_right = parsed.as_ref().and_then(http::Uri::port_u16).is_some()
            || !authority.rsplit(']').next().unwrap_or("").contains(':');
        if host.is_empty() || !port_is_right {
            return Err(format!("is no URL with a host; {FORM}"));
        }
        Ok(Self {
            scheme,
            authority: authority.to_owned(),
            path: path.trim_end_matches('/').to_owned(),
            user: user.map(str::to_owned),
        })
    }

    pub fn has_password(&self) -> bool {
        self.user.is_some()
    }

    /// All of it, with a scheme. Secret.
    pub fn whole(&self, insecure: bool) -> String {
        let scheme = self
            .scheme
            .unwrap_or(if insecure { "http" } else { "https" });
        let user = self.user.iter().map(|user| format!("{user}@"));
        let user: String = user.collect();
        format!("{scheme}://{user}{}{}", self.authority, self.path)
    }

    pub fn port(&self) -> Option<u16> {
        let (_, port) = self.authority.rsplit_once(':')?;
        port.parse().ok()
    }
}

/// Without user and password.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        write!(f, "{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).ok().unwrap()
    }

    #[test]
    fn parts_are_told_apart() {
        let it = url("HTTPS://Collector.example:4318/otlp/");
        assert_eq!(it.whole(true), "https://Collector.example:4318/otlp");
        assert_eq!(it.path, "/otlp");
        assert_eq!(it.port(), Some(4318));
        assert_eq!(url("collector:4317").whole(true), "http://collector:4317");
        assert_eq!(url("collector:4317").whole(false), "https://collector:4317");
        assert_eq!(url("http://[::1]:4317").port(), Some(4317));
        assert_eq!(url("http://[::1]").whole(false), "http://[::1]");
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_it() {
        for wrong in [
            "",
            "ftp://hunter2",
            "http://",
            "https:///hunter2",
            "http://x?token=hunter2",
            "http://user:hunter2@",
            "http://user:hunter2%zz@host",
            "http://host:hunter2",
            "http://ho st/hunter2",
            "http://host:99999999/hunter2",
        ] {
            let error = Url::parse(wrong).err().expect(wrong);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn user_and_password_are_handed_on_and_not_shown() {
        let it = url("me:open%20sesame@host/x");
        assert_eq!(it.to_string(), "host/x");
        assert_eq!(it.whole(true), "http://me:open%20sesame@host/x");
    }
}
