//! Certificates for the TLS servers, made anew for each run.

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use openssl::x509::extension::{SubjectAlternativeName, SubjectKeyIdentifier};
use openssl::x509::{X509, X509NameBuilder};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 24 * 60 * 60;

/// A server's certificate and key, as PEM files.
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

pub struct Certificates {
    /// The root that tests trust.
    pub ca: PathBuf,
    /// The root behind `unknown_root`.
    pub other_ca: PathBuf,
    /// For localhost, 127.0.0.1 and ::1.
    pub good: Identity,
    pub expired: Identity,
    pub not_yet_valid: Identity,
    pub wrong_host: Identity,
    pub self_signed: Identity,
    pub unknown_root: Identity,
}

struct Signed {
    certificate: X509,
    key: PKey<Private>,
}

struct Template<'a> {
    common_name: &'a str,
    hosts: &'a [&'a str],
    addresses: &'a [&'a str],
    /// Validity in seconds from now.
    from: i64,
    to: i64,
    is_authority: bool,
}

const LOCAL: Template = Template {
    common_name: "localhost",
    hosts: &["localhost"],
    addresses: &["127.0.0.1", "::1"],
    from: -DAY,
    to: 30 * DAY,
    is_authority: false,
};

impl Certificates {
    pub fn write(directory: &Path) -> Result<Certificates, String> {
        make(directory).map_err(|error| format!("certificates: {error}"))
    }
}

fn make(directory: &Path) -> Result<Certificates, Box<dyn std::error::Error>> {
    fs::create_dir_all(directory)?;
    let authority = |common_name| Template {
        common_name,
        is_authority: true,
        hosts: &[],
        addresses: &[],
        ..LOCAL
    };
    let root = sign(&authority("libnsurlsession test root"), None)?;
    let other_root = sign(&authority("libnsurlsession unknown root"), None)?;

    let write = |name: &str, signed: Signed| -> Result<Identity, Box<dyn std::error::Error>> {
        let identity = Identity {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        };
        fs::write(&identity.certificate, signed.certificate.to_pem()?)?;
        fs::write(&identity.key, signed.key.private_key_to_pem_pkcs8()?)?;
        Ok(identity)
    };
    let certificates = Certificates {
        ca: directory.join("ca.pem"),
        other_ca: directory.join("other-ca.pem"),
        good: write("good", sign(&LOCAL, Some(&root))?)?,
        expired: write(
            "expired",
            sign(
                &Template {
                    from: -10 * DAY,
                    to: -DAY,
                    ..LOCAL
                },
                Some(&root),
            )?,
        )?,
        not_yet_valid: write(
            "not-yet-valid",
            sign(
                &Template {
                    from: DAY,
                    to: 10 * DAY,
                    ..LOCAL
                },
                Some(&root),
            )?,
        )?,
        wrong_host: write(
            "wrong-host",
            sign(
                &Template {
                    common_name: "wrong.example",
                    hosts: &["wrong.example"],
                    addresses: &["192.0.2.1"],
                    ..LOCAL
                },
                Some(&root),
            )?,
        )?,
        self_signed: write("self-signed", sign(&LOCAL, None)?)?,
        unknown_root: write("unknown-root", sign(&LOCAL, Some(&other_root))?)?,
    };
    fs::write(&certificates.ca, root.certificate.to_pem()?)?;
    fs::write(&certificates.other_ca, other_root.certificate.to_pem()?)?;
    Ok(certificates)
}

/// A certificate by `issuer`, or signed with its own key.
fn sign(template: &Template, issuer: Option<&Signed>) -> Result<Signed, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", template.common_name)?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(120, MsbOption::MAYBE_ZERO, false)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs() as i64);

    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*Asn1Integer::from_bn(&serial)?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(issuer.map_or(&*name, |issuer| issuer.certificate.subject_name()))?;
    builder.set_pubkey(&key)?;
    builder.set_not_before(&*Asn1Time::from_unix(now + template.from)?)?;
    builder.set_not_after(&*Asn1Time::from_unix(now + template.to)?)?;

    let mut constraints = BasicConstraints::new();
    constraints.critical();
    let mut usage = KeyUsage::new();
    usage.critical();
    if template.is_authority {
        constraints.ca();
        usage.key_cert_sign().crl_sign();
    } else {
        usage.digital_signature();
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    }
    builder.append_extension(constraints.build()?)?;
    builder.append_extension(usage.build()?)?;
    let issuer_certificate = issuer.map(|issuer| &*issuer.certificate);
    let identifier =
        SubjectKeyIdentifier::new().build(&builder.x509v3_context(issuer_certificate, None))?;
    builder.append_extension(identifier)?;
    if !template.hosts.is_empty() {
        let mut alternatives = SubjectAlternativeName::new();
        for host in template.hosts {
            alternatives.dns(host);
        }
        for address in template.addresses {
            alternatives.ip(address);
        }
        let extension = alternatives.build(&builder.x509v3_context(issuer_certificate, None))?;
        builder.append_extension(extension)?;
    }
    builder.sign(
        issuer.map_or(&key, |issuer| &issuer.key),
        MessageDigest::sha256(),
    )?;
    Ok(Signed {
        certificate: builder.build(),
        key,
    })
}
