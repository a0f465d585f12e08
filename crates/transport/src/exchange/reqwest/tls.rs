//! TLS: how it is set up, and what the two sides may object to in each other.

use std::sync::Arc;

use rustls::{AlertDescription as Alert, CertificateError as Certificate};

use super::classify::chain;
use crate::exchange::{ExchangeError, ExchangeErrorKind};

/// TLS with `ring`, which builds without CMake or assembler tools. Nothing process-wide is set.
pub(super) fn config() -> Result<rustls::ClientConfig, ExchangeError> {
    let fail = |e: rustls::Error| ExchangeError::new(ExchangeErrorKind::Connect, e);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(fail)?;
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(fail)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// What one side finds unacceptable in the other, in words; `None` if nothing of the kind is the
/// cause. A connection that just ends during the handshake is no objection.
pub(super) fn objection(error: &reqwest::Error) -> Option<String> {
    let tls = chain(error).find_map(|cause| cause.downcast_ref::<rustls::Error>())?;
    match tls {
        // After the handshake too: servers ask for a client's certificate that late.
        rustls::Error::AlertReceived(alert) if is_about_certificates(*alert) => {
            Some(refused_by_server(*alert))
        }
        _ if !error.is_connect() => None,
        rustls::Error::InvalidCertificate(problem) => {
            Some(format!("its certificate {}", flaw(problem)))
        }
        rustls::Error::NoCertificatesPresented => Some("it has no certificate".into()),
        // What the server calls an error of its own may pass.
        rustls::Error::AlertReceived(
            Alert::InternalError | Alert::UserCanceled | Alert::CloseNotify,
        ) => None,
        rustls::Error::AlertReceived(alert) => Some(refused_by_server(*alert)),
        rustls::Error::InvalidMessage(_) => {
            Some("it does not speak TLS on this port; is it an http:// address?".into())
        }
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::PeerMisbehaved(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::NoApplicationProtocol => Some(tls.to_string()),
        _ => None,
    }
}

fn refused_by_server(alert: Alert) -> String {
    format!("the server refused the connection with the alert {alert:?}")
}

fn is_about_certificates(alert: Alert) -> bool {
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

/// Which check a certificate failed, completing "its certificate".
fn flaw(problem: &Certificate) -> String {
    match problem {
        Certificate::Expired | Certificate::ExpiredContext { .. } => "has expired".into(),
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "is not valid yet; is the clock right?".into()
        }
        Certificate::Revoked => "is revoked".into(),
        Certificate::UnknownIssuer => "is of an issuer that this machine does not trust".into(),
        Certificate::BadSignature => "has a wrong signature".into(),
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "is for another name".into()
        }
        Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => {
            "is not one of a server".into()
        }
        other => format!("is not valid: {other}"),
    }
}
