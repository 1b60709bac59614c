//! Mailboxes, by SMTP. Mails of one incident are one conversation.

use std::path::Path;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport as _};

use super::incident::Turn;
use super::people::Channel;
use super::words::IncidentText;
use crate::config::Secret;
use crate::error::{Error, Result};
use crate::event::Micros;

/// Mailboxes, and the server that takes mail for them.
#[derive(Debug, Clone, PartialEq)]
pub struct MailConfig {
    /// Host of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub encryption: Encryption,
    /// Login.
    pub login: Option<(String, Secret)>,
    /// Who writes.
    pub from: String,
    /// Who is written to.
    pub to: Vec<String>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// From its first byte on.
    Tls,
    /// Once the server has agreed to it; else nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

pub(super) struct Mail<'a> {
    config: &'a MailConfig,
    transport: SmtpTransport,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl<'a> Mail<'a> {
    /// Makes ready; the server is connected with each mail.
    pub(super) fn open(config: &'a MailConfig, ca: Option<&Path>, timeout: Duration) -> Result<Self> {
        let tls = || parameters(&config.host, ca);
        let tls = match config.encryption {
            Encryption::Tls => Tls::Wrapper(tls()?),
            Encryption::StartTls => Tls::Required(tls()?),
            Encryption::None => Tls::None,
        };
        let transport =
            SmtpTransport::builder_dangerous(&config.host).port(config.port).tls(tls).timeout(Some(timeout));
        let transport = match &config.login {
            Some((name, secret)) => {
                let secret = secret.read("the password of the mail server", "password")?;
                transport.credentials(Credentials::new(name.clone(), secret.expose().to_owned()))
            }
            None => transport,
        };
        let to = config.to.iter().map(|address| mailbox(address)).collect::<Result<_>>()?;
        Ok(Self { config, transport: transport.build(), from: mailbox(&config.from)?, to })
    }
}

fn parameters(host: &str, ca: Option<&Path>) -> Result<TlsParameters> {
    let unfit = |error: lettre::transport::smtp::Error| Error::user("no TLS for the mail server").because(error);
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(ca) = ca {
        let pem = std::fs::read(ca)
            .map_err(|error| Error::user(format!("cannot read the authorities in {}", ca.display())).because(error))?;
        tls = tls.add_root_certificate(Certificate::from_pem(&pem).map_err(unfit)?);
    }
    tls.build().map_err(unfit)
}

fn mailbox(address: &str) -> Result<Mailbox> {
    address.parse().map_err(|error: lettre::address::AddressError| {
        Error::user(format!("`{address}` is no mail address"))
            .because(error)
            .hint("write name@host, or Name <name@host>")
    })
}

impl Channel for Mail<'_> {
    fn send(&mut self, words: &IncidentText<'_>, now: Micros) -> std::result::Result<(), String> {
        let thread = format!("<{}@haldane>", words.incident.key.replace(':', "."));
        let mut mail = Message::builder().from(self.from.clone()).subject(words.title());
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let first = words.turn == Turn::Opened;
        let mail = if first {
            mail.message_id(Some(thread))
        } else {
            mail.message_id(None).in_reply_to(thread.clone()).references(thread)
        };
        let at = std::time::UNIX_EPOCH + Duration::from_micros(now.unsigned_abs());
        let mail = mail.date(at).body(words.lines().join("\n") + "\n").map_err(|error| error.to_string())?;
        let sent = self.transport.send(&mail).map(drop);
        sent.map_err(|error| format!("{}:{}: {error}", self.config.host, self.config.port))
    }
}
