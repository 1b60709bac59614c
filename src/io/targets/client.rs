//! An HTTP client for a few requests a minute: one connection each, with a bound on time and size.
//!
//! It follows no redirects, because a login is for one host alone.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_LENGTH, ETAG, HOST, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use openssl::ssl::{SslConnector, SslMethod};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_openssl::SslStream;

use crate::error::{Error, Result};

/// The largest answer.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// A client.
pub(crate) struct Client {
    runtime: Runtime,
    tls: SslConnector,
    timeout: Duration,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) body: String,
}

impl Client {
    /// A client that trusts the system's authorities, and those of a file.
    pub(crate) fn open(ca: Option<&Path>, timeout: Duration) -> Result<Self> {
        let failed = |error| Error::internal("cannot make an HTTP client").because(error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let mut tls = SslConnector::builder(SslMethod::tls_client())
            .map_err(|error| Error::internal("cannot make a TLS client").because(error))?;
        if let Some(ca) = ca {
            tls.set_ca_file(ca).map_err(|error| {
                Error::user(format!("cannot read the authorities in {}", ca.display()))
                    .because(error)
                    .hint("check `ca_file`: PEM, one certificate at least")
            })?;
        }
        Ok(Self { runtime, tls: tls.build(), timeout })
    }

    /// Asks once.
    ///
    /// # Errors
    /// In words, when there is no answer in time.
    pub(crate) fn ask(&self, question: &HttpRequest) -> std::result::Result<HttpResponse, String> {
        let asked = async { tokio::time::timeout(self.timeout, self.ask_patiently(question)).await };
        let late = |_| format!("no answer within {} s", self.timeout.as_secs_f64());
        let answer = self.runtime.block_on(asked).map_err(late).and_then(|answer| answer);
        answer.map_err(|why| format!("{} {}: {why}", question.method, question.url))
    }

    async fn ask_patiently(&self, question: &HttpRequest) -> std::result::Result<HttpResponse, String> {
        let uri: Uri = question.url.parse().map_err(|error| format!("it is no URL: {error}"))?;
        let host = uri.host().ok_or("it is no URL: there is no host in it")?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((bare, port)).await.map_err(|error| error.to_string())?;
        let request = request(question, &uri)?;
        if !secure {
            return exchange(TokioIo::new(stream), request).await;
        }
        let ssl = self.tls.configure().and_then(|tls| tls.into_ssl(bare)).map_err(|error| error.to_string())?;
        let mut stream = SslStream::new(ssl, stream).map_err(|error| error.to_string())?;
        Pin::new(&mut stream).connect().await.map_err(|error| error.to_string())?;
        exchange(TokioIo::new(stream), request).await
    }
}

fn request(question: &HttpRequest, uri: &Uri) -> std::result::Result<Request<Full<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(question.method.as_str())
        .uri(path)
        .header(HOST, authority.rsplit('@').next().unwrap_or(authority))
        .header(USER_AGENT, concat!("haldane/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_LENGTH, question.body.len());
    for (name, value) in &question.headers {
        request = request.header(name, value);
    }
    // The value of a header may be a secret, so that it is not named.
    request.body(Full::new(question.body.clone().into())).map_err(|_| "a header or the method is not valid".to_owned())
}

async fn exchange<S: Read + Write + Unpin>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> std::result::Result<HttpResponse, String> {
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|error| error.to_string())?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(HttpResponse { status, etag, body: String::from_utf8_lossy(&body).into_owned() })
    };
    tokio::pin!(connection, answered);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        ended = &mut connection => {
            ended.map_err(|error| error.to_string())?;
            answered.await
        }
    }
}
