//! An authority of our own that signs certificates for tests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rand::rand_bytes;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// An authority.
pub(crate) struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// A certificate without extensions, valid from yesterday on for so many days.
fn begun(name: &str, key: &PKey<Private>, days: i64) -> X509Builder {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut serial = [0; 8];
    rand_bytes(&mut serial).unwrap();
    serial[0] &= 0x7f;
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&BigNum::from_slice(&serial).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_pubkey(key).unwrap();
    let begin = Asn1Time::days_from_now(0).unwrap();
    builder.set_not_before(&begin).unwrap();
    let now = haldane::kafka::clock::wall_clock() / 1_000_000;
    builder.set_not_after(&Asn1Time::from_unix(now + days * 86_400 + 3_600).unwrap()).unwrap();
    builder
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = new_key();
        // Its key's digest tells it from others.
        let digest = blake3::hash(&key.public_key_to_der().unwrap());
        let name = format!("authority {}", &digest.to_hex()[..16]);
        let mut builder = begun(&name, &key, 30);
        let mut own = X509NameBuilder::new().unwrap();
        own.append_entry_by_nid(Nid::COMMONNAME, &name).unwrap();
        builder.set_issuer_name(&own.build()).unwrap();
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self { key, certificate: builder.build() }
    }

    /// A certificate for a name and addresses of this machine.
    pub(crate) fn issue(&self, name: &str, days: i64) -> Pair {
        let key = new_key();
        let mut builder = begun(name, &key, days);
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        let mut names = SubjectAlternativeName::new();
        names.dns("localhost").ip("127.0.0.1");
        let names = names.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Pair { certificate: builder.build(), key }
    }

    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, self.certificate.to_pem().unwrap()).unwrap();
    }
}

impl Pair {
    /// Writes the two files as `NAME.crt` and `NAME.key`; each is there whole or not at all.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        put(&folder.join(format!("{name}.key")), &self.key.private_key_to_pem_pkcs8().unwrap());
        put(&folder.join(format!("{name}.crt")), &self.certificate.to_pem().unwrap());
    }
}

/// Writes a file that is ours alone, and puts it in its place at once.
pub(crate) fn put(path: &Path, content: &[u8]) {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, content).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(fresh, path).unwrap();
}
