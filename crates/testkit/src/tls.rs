//! Certificates made in the test, good ones and each kind of bad one.
//!
//! ```
//! use longhaul_testkit::server::{Script, Server};
//! use longhaul_testkit::tls::Authority;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let authority = Authority::new()?;
//! let server = Server::builder().tls(&authority.valid()?).start(Script::new()).await?;
//! assert!(server.base_url().starts_with("https://127.0.0.1:"));
//! assert!(authority.certificate_pem().starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The names that a server on loopback is called by.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// A certificate authority of its own. A client that is to accept its servers must be given its certificate.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, unknown to everyone.
    ///
    /// # Errors
    ///
    /// No key can be made.
    pub fn new() -> io::Result<Self> {
        let key = key()?;
        // A name of its own, or it would pass for another authority with a bad signature.
        let number = key.public_key_raw().iter().rev().take(8);
        let number: Vec<String> = number.map(|byte| format!("{byte:02x}")).collect();
        let mut params = params(&[], &format!("testkit authority {}", number.concat()))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        Ok(Self { issuer })
    }

    /// Its certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its certificate as DER.
    pub fn certificate_der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A good identity for `127.0.0.1` and `localhost`.
    ///
    /// # Errors
    ///
    /// No key can be made.
    pub fn valid(&self) -> io::Result<Identity> {
        self.sign(&params(&LOOPBACK, "testkit server")?)
    }

    /// An identity for another host.
    ///
    /// # Errors
    ///
    /// No key can be made.
    pub fn wrong_name(&self) -> io::Result<Identity> {
        self.sign(&params(&["elsewhere.test"], "testkit server")?)
    }

    /// An identity whose time is over since 2001.
    ///
    /// # Errors
    ///
    /// No key can be made.
    pub fn expired(&self) -> io::Result<Identity> {
        let mut params = params(&LOOPBACK, "testkit server")?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> io::Result<Identity> {
        let key = key()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok(Identity::new(&certificate, &key))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// The certificate and key that a server shows. Clones are the same.
#[derive(Clone)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Arc<PrivatePkcs8KeyDer<'static>>,
}

impl Identity {
    /// An identity for `127.0.0.1` and `localhost` that vouches for itself.
    ///
    /// # Errors
    ///
    /// No key can be made.
    pub fn self_signed() -> io::Result<Self> {
        let key = key()?;
        let params = params(&LOOPBACK, "testkit server")?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        Ok(Self::new(&certificate, &key))
    }

    fn new(certificate: &Certificate, key: &KeyPair) -> Self {
        Self {
            certificate: certificate.der().clone(),
            key: Arc::new(PrivatePkcs8KeyDer::from(key.serialize_der())),
        }
    }

    /// A server that shows this identity and speaks `protocol` only.
    pub(crate) fn config(&self, protocol: &[u8]) -> io::Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::Pkcs8(self.key.clone_key());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn key() -> io::Result<KeyPair> {
    KeyPair::generate().map_err(io::Error::other)
}

fn params(names: &[&str], name: &str) -> io::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
