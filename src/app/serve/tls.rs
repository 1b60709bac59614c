//! TLS of the service: certificate and key, read again when their files change, and what clients' certificates say.

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{Ssl, SslAcceptor, SslMethod, SslRef, SslVerifyMode};
use openssl::x509::X509;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

use super::files::FileStamp;
use crate::config::TlsConfig;
use crate::error::{Error, Result};

/// Sessions that are taken up again belong to this service.
const SESSIONS: &[u8] = b"haldane";

/// The first byte of a connection that begins with TLS.
pub(super) const HANDSHAKE: u8 = 0x16;

/// TLS of one service.
pub struct Tls {
    config: TlsConfig,
    current: RwLock<Arc<Loaded>>,
    /// The files that were last tried, and could not be used.
    refused: Mutex<Vec<FileStamp>>,
}

/// What was read from the files.
struct Loaded {
    acceptor: SslAcceptor,
    stamps: Vec<FileStamp>,
    /// Seconds since 1970.
    expires_at: i64,
    #[cfg(feature = "pg")]
    digest: Option<Vec<u8>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads certificate, key and authorities.
    ///
    /// # Errors
    /// When a file cannot be read, key and certificate are of two pairs, or others on the machine may read the key.
    pub fn open(config: &TlsConfig) -> Result<Self> {
        let current = RwLock::new(Arc::new(Loaded::read(config)?));
        Ok(Self { config: config.clone(), current, refused: Mutex::default() })
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again if they have changed. What cannot be used is told once, and the old ones stay.
    pub(super) fn renew(&self) {
        let stamps = stamps(&self.config);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if stamps == self.current().stamps || stamps == *refused {
            return;
        }
        match Loaded::read(&self.config) {
            Ok(loaded) => {
                tracing::info!(certificate = %self.config.cert.display(), "certificate read again");
                refused.clear();
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
            }
            Err(error) => {
                tracing::error!(%error, hint = error.advice(), "the new certificate is not used; the old one stays");
                *refused = stamps;
            }
        }
    }

    /// When the certificate ends, in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.current().expires_at
    }

    /// What binds a login to the certificate (RFC 5929, section 4.1): its digest, where one is defined.
    #[cfg(feature = "pg")]
    pub(super) fn certificate_digest(&self) -> Option<Vec<u8>> {
        self.current().digest.clone()
    }

    /// Agrees with a client on how to encrypt.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> std::result::Result<SslStream<S>, openssl::ssl::Error> {
        let ssl = Ssl::new(self.current().acceptor.context())?;
        let mut stream = SslStream::new(ssl, stream)?;
        Pin::new(&mut stream).accept().await?;
        Ok(stream)
    }
}

/// The names in the certificate that a client has shown; an authority of ours has signed it.
pub(super) fn names_of_client(ssl: &SslRef) -> Vec<String> {
    let Some(certificate) = ssl.peer_certificate() else { return Vec::new() };
    let mut names: Vec<String> = certificate
        .subject_name()
        .entries_by_nid(Nid::COMMONNAME)
        .filter_map(|entry| entry.data().to_string().ok())
        .collect();
    for name in certificate.subject_alt_names().iter().flatten() {
        names.extend([name.dnsname(), name.email(), name.uri()].into_iter().flatten().map(str::to_owned));
    }
    names
}

fn stamps(config: &TlsConfig) -> Vec<FileStamp> {
    [Some(&config.cert), Some(&config.key), config.client_ca.as_ref()]
        .into_iter()
        .flatten()
        .map(FileStamp::of)
        .collect()
}

impl Loaded {
    fn read(config: &TlsConfig) -> Result<Self> {
        // Before the files: one that changes meanwhile is read again.
        let stamps = stamps(config);
        let chain = certificates(&config.cert, "cert")?;
        let key = private_key(&config.key)?;
        let failed = |error: ErrorStack| Error::internal("cannot set up TLS").because(error);
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).map_err(failed)?;
        let (own, between) = chain.split_first().ok_or_else(|| no_certificate(&config.cert, "cert"))?;
        acceptor.set_certificate(own).map_err(failed)?;
        for certificate in between {
            acceptor.add_extra_chain_cert(certificate.clone()).map_err(failed)?;
        }
        let paired = acceptor.set_private_key(&key).and_then(|()| acceptor.check_private_key());
        paired.map_err(|error| {
            let (key, cert) = (config.key.display(), config.cert.display());
            Error::user(format!("the key in {key} is not that of the certificate in {cert}"))
                .because(error)
                .hint("give `serve.tls` the two files of one pair; the certificate comes before those of authorities")
        })?;
        acceptor.set_session_id_context(SESSIONS).map_err(failed)?;
        if let Some(file) = &config.client_ca {
            for authority in certificates(file, "client_ca")? {
                acceptor.add_client_ca(&authority).map_err(failed)?;
                acceptor.cert_store_mut().add_cert(authority).map_err(failed)?;
            }
            acceptor.set_verify(SslVerifyMode::PEER);
        }
        let epoch = Asn1Time::from_unix(0).map_err(failed)?;
        let until = epoch.diff(own.not_after()).map_err(failed)?;
        let expires_at = i64::from(until.days) * 86_400 + i64::from(until.secs);
        Ok(Self {
            acceptor: acceptor.build(),
            stamps,
            expires_at,
            #[cfg(feature = "pg")]
            digest: digest(own),
        })
    }
}

/// By the digest of the certificate's signature; those that are broken are replaced by SHA-256.
#[cfg(feature = "pg")]
fn digest(certificate: &X509) -> Option<Vec<u8>> {
    use openssl::hash::MessageDigest;

    let algorithms = certificate.signature_algorithm().object().nid().signature_algorithms()?;
    let kind = match algorithms.digest {
        Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
        other => MessageDigest::from_nid(other)?,
    };
    certificate.digest(kind).ok().map(|digest| digest.to_vec())
}

fn certificates(path: &Path, key: &str) -> Result<Vec<X509>> {
    let text = read(path, key)?;
    let found = X509::stack_from_pem(&text).ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| no_certificate(path, key))
}

fn no_certificate(path: &Path, key: &str) -> Error {
    Error::user(format!("{} holds no certificate", path.display()))
        .hint(format!("`serve.tls.{key}` is a PEM file: -----BEGIN CERTIFICATE-----"))
}

fn read(path: &Path, key: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::user(format!("cannot read {}", path.display()))
            .because(error)
            .hint(format!("check `serve.tls.{key}`, and who may read the file"))
    })
}

fn private_key(path: &PathBuf) -> Result<PKey<Private>> {
    let text = read(path, "key")?;
    std::fs::metadata(path).ok().map_or(Ok(()), |file| is_private(path, &file))?;
    let mut asked = false;
    let key = PKey::private_key_from_pem_callback(&text, |_| {
        asked = true;
        Ok(0)
    });
    key.map_err(|_| {
        let why = if asked { "is locked with a password" } else { "holds no private key" };
        Error::user(format!("{} {why}", path.display()))
            .hint("`serve.tls.key` is a PEM file without a password: -----BEGIN PRIVATE KEY-----")
    })
}

/// As PostgreSQL demands it: the key is ours alone, or root's, who lets our group read it.
#[cfg(unix)]
fn is_private(path: &Path, file: &Metadata) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let open_to = if file.uid() == 0 { 0o037 } else { 0o077 };
    if file.mode() & open_to == 0 {
        return Ok(());
    }
    let mode = file.mode() & 0o777;
    Err(Error::user(format!("others on this machine may use the key in {}: its mode is {mode:04o}", path.display()))
        .hint(format!("chmod 0600 {}; root's may be 0640, readable by the service's group", path.display())))
}

#[cfg(not(unix))]
fn is_private(_: &Path, _: &Metadata) -> Result<()> {
    Ok(())
}
