//! Tokens for Amazon MSK: the address of a call of its API, signed with a login of AWS.
//!
//! Source: AWS Signature Version 4, query parameters, as AWS's own `aws-msk-iam-sasl-signer` libraries make it.

use openssl::base64::encode_block;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;

use crate::error::{Error, Result};
use crate::event::{Micros, SECOND};
use crate::targets::{escaped, hex};

/// How long a token is good for.
pub(super) const LIFE: Micros = 900 * SECOND;

/// A login of AWS.
pub(super) struct Credentials {
    id: String,
    secret: String,
    /// Of a login that does not last.
    session: Option<String>,
}

impl Credentials {
    /// The login that the environment gives: keys, a role of Kubernetes, of a container or of the machine.
    ///
    /// # Errors
    /// When there is none.
    #[cfg(feature = "s3")]
    pub(super) fn found() -> Result<Self> {
        use object_store::aws::AmazonS3Builder;
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::external("no login of AWS for Kafka").because(error).hint("set AWS_ACCESS_KEY_ID, or give a role")
        };
        // It knows all the ways to a login; no bucket is asked for.
        let aws = AmazonS3Builder::from_env().with_bucket_name("none").build().map_err(|error| failed(error.into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let found = runtime.map_err(|error| failed(error.into()))?.block_on(aws.credentials().get_credential());
        let found = found.map_err(|error| failed(error.into()))?;
        Ok(Self { id: found.key_id.clone(), secret: found.secret_key.clone(), session: found.token.clone() })
    }

    /// The login whose keys are in the environment.
    ///
    /// # Errors
    /// When there is none.
    #[cfg(not(feature = "s3"))]
    pub(super) fn found() -> Result<Self> {
        let variable = |name| std::env::var(name).ok();
        variable("AWS_ACCESS_KEY_ID")
            .zip(variable("AWS_SECRET_ACCESS_KEY"))
            .map(|(id, secret)| Self { id, secret, session: variable("AWS_SESSION_TOKEN") })
            .ok_or_else(|| {
                Error::external("no login of AWS for Kafka")
                    .hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; roles need a build with `--features s3`")
            })
    }
}

/// A token for the clusters of a region.
pub(super) fn token(key: &Credentials, region: &str, now: Micros) -> Result<String> {
    signed(key, region, now)
        .map(|url| encode_block(url.as_bytes()).trim_end_matches('=').replace('+', "-").replace('/', "_"))
        .map_err(|error| Error::internal("cannot sign a token for Kafka").because(error))
}

/// The signed address.
fn signed(key: &Credentials, region: &str, now: Micros) -> std::result::Result<String, ErrorStack> {
    let host = format!("kafka.{region}.amazonaws.com");
    let time = chrono::DateTime::from_timestamp_micros(now).unwrap_or_default();
    let (date, time) = (time.format("%Y%m%d").to_string(), time.format("%Y%m%dT%H%M%SZ").to_string());
    let scope = format!("{date}/{region}/kafka-cluster/aws4_request");
    let session = key.session.as_ref().map(|session| format!("&X-Amz-Security-Token={}", escaped(session)));
    let query = format!(
        "Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={time}\
         &X-Amz-Expires={}{}&X-Amz-SignedHeaders=host",
        escaped(&format!("{}/{scope}", key.id)),
        LIFE / SECOND,
        session.unwrap_or_default(),
    );
    let request = format!("GET\n/\n{query}\nhost:{host}\n\nhost\n{}", hex(&sha256(b"")));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&sha256(request.as_bytes())));
    let parts = [date.as_str(), region, "kafka-cluster", "aws4_request", &text];
    let first = format!("AWS4{}", key.secret).into_bytes();
    let signature = parts.iter().try_fold(first, |key, part| hmac(&key, part.as_bytes()))?;
    let agent = concat!("haldane%2F", env!("CARGO_PKG_VERSION"));
    Ok(format!("https://{host}/?{query}&X-Amz-Signature={}&User-Agent={agent}", hex(&signature)))
}

fn hmac(key: &[u8], text: &[u8]) -> std::result::Result<Vec<u8>, ErrorStack> {
    Signer::new(MessageDigest::sha256(), &*PKey::hmac(key)?)?.sign_oneshot_to_vec(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_signed_as_botocore_does() {
        // botocore 1.44.8, SigV4QueryAuth.
        let start = "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect\
                     &X-Amz-Algorithm=AWS4-HMAC-SHA256\
                     &X-Amz-Credential=AKIDEXAMPLE%2F20260801%2Feu-west-1%2Fkafka-cluster%2Faws4_request\
                     &X-Amz-Date=20260801T120000Z&X-Amz-Expires=900";
        for (session, middle, signature) in [
            (None, "", "541f546b243adf1051dc48d480dca3a858802dc5ff935f671c1384821dd3b440"),
            (
                Some("FwoGZXIvYXdzE+/="),
                "&X-Amz-Security-Token=FwoGZXIvYXdzE%2B%2F%3D",
                "9a1f157810b900255a3bb090eea0998916586534bf29c1601981063c78ec980a",
            ),
        ] {
            let key = Credentials {
                id: "AKIDEXAMPLE".to_owned(),
                secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
                session: session.map(str::to_owned),
            };
            let url = signed(&key, "eu-west-1", 1_785_585_600 * SECOND).unwrap();
            let wanted =
                format!("{start}{middle}&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}&User-Agent=haldane");
            assert!(url.starts_with(&wanted), "{url}\n{wanted}");
            let token = token(&key, "eu-west-1", 1_785_585_600 * SECOND).unwrap();
            assert!(
                token.starts_with("aHR0cHM6Ly9rYWZrYS5ldS13ZXN0LTEu") && !token.contains(['+', '/', '=']),
                "{token}"
            );
        }
    }
}
