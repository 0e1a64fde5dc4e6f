//! What a platform on one machine keeps secret: the API token, the internal signing secret and the TLS key.
//!
//! Each is made once per data folder, from the system's random source, in a file only its owner can read.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// Random bytes in a token or secret: 256 bits, beyond guessing.
const SECRET_BYTES: usize = 32;

/// Everything secret of one data folder.
pub(crate) struct Credentials {
    /// Bearer token of the API.
    pub(crate) token: String,
    /// Master secret internal calls are signed with.
    pub(crate) internal_secret: String,
    /// The authority clients trust, as PEM.
    pub(crate) ca_pem: String,
    /// The API's certificate, signed by that authority, as PEM.
    pub(crate) certificate_pem: String,
    /// The API's private key, as PEM.
    pub(crate) key_pem: String,
}

impl Credentials {
    /// Reads what the folder has and makes what it lacks. `hosts` are the names and addresses of the API listener.
    pub(crate) fn load_or_make(dir: &Path, hosts: &[String]) -> Result<Self> {
        let token = secret_file(&dir.join("token"))?;
        let internal_secret = secret_file(&dir.join("internal-secret"))?;
        let tls = dir.join("tls");
        fs::create_dir_all(&tls).with_context(|| format!("cannot create {}", tls.display()))?;
        let [ca, certificate, key, names] =
            ["ca.crt", "server.crt", "server.key", "hosts"].map(|name| fs::read_to_string(tls.join(name)).ok());
        let wanted = hosts.join("\n");
        // A listener moved to another address needs another certificate; clients read the new authority from the
        // kubeconfig, which is written at every start.
        if let (Some(ca_pem), Some(certificate_pem), Some(key_pem), Some(names)) = (ca, certificate, key, names)
            && names == wanted
        {
            return Ok(Self { token, internal_secret, ca_pem, certificate_pem, key_pem });
        }
        let (ca_pem, certificate_pem, key_pem) = make_certificate(hosts)?;
        write_secret(&tls.join("ca.crt"), &ca_pem)?;
        write_secret(&tls.join("server.crt"), &certificate_pem)?;
        write_secret(&tls.join("server.key"), &key_pem)?;
        write_secret(&tls.join("hosts"), &wanted)?;
        Ok(Self { token, internal_secret, ca_pem, certificate_pem, key_pem })
    }

    /// Whether a presented token is ours, in a time that tells nothing about it.
    pub(crate) fn accepts(&self, presented: &str) -> bool {
        let (ours, theirs) = (self.token.as_bytes(), presented.as_bytes());
        ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }

    /// A kubeconfig for the API at `https://<address>`.
    pub(crate) fn kubeconfig(&self, address: &str) -> String {
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.ca_pem);
        let token = &self.token;
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: fission\nclusters:\n- name: fission\n  cluster:\n    \
             server: https://{address}\n    certificate-authority-data: {ca}\nusers:\n- name: fission\n  user:\n    \
             token: {token}\ncontexts:\n- name: fission\n  context:\n    cluster: fission\n    user: fission\n    \
             namespace: default\n"
        )
    }
}

/// Writes a file only its owner can read, completely or not at all.
pub(crate) fn write_secret(path: &Path, content: &str) -> Result<()> {
    let fail = || format!("cannot write {}", path.display());
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).with_context(fail)?;
    file.write_all(content.as_bytes()).and_then(|()| file.sync_all()).with_context(fail)?;
    fs::rename(&partial, path).with_context(fail)
}

fn secret_file(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(secret) if !secret.trim().is_empty() => Ok(secret.trim().to_owned()),
        Ok(_) => anyhow::bail!("{} is blank; remove it to have a new one made", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>());
            write_secret(path, &secret)?;
            Ok(secret)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// An authority that signs one certificate; its key is forgotten at once.
fn make_certificate(hosts: &[String]) -> Result<(String, String, String)> {
    let authority_key = KeyPair::generate().context("cannot make a key")?;
    let mut authority = CertificateParams::new(Vec::new()).context("cannot describe the authority")?;
    authority.distinguished_name.push(DnType::CommonName, "fission on this machine");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).context("cannot sign the authority")?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().context("cannot make a key")?;
    let mut server = CertificateParams::new(hosts).context("cannot describe the API's certificate")?;
    server.distinguished_name.push(DnType::CommonName, "fission API");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = server.signed_by(&key, &issuer).context("cannot sign the API's certificate")?;
    Ok((ca.pem(), certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_survive_a_restart_and_only_the_owner_can_read_them() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let first = Credentials::load_or_make(dir.path(), &hosts).unwrap();
        let second = Credentials::load_or_make(dir.path(), &hosts).unwrap();
        assert_eq!(first.token, second.token);
        assert_eq!(first.certificate_pem, second.certificate_pem);
        assert_eq!(fs::metadata(dir.path().join("token")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(first.accepts(&second.token) && !first.accepts("") && !first.accepts("guess"));
    }

    #[test]
    fn another_address_gets_another_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let first = Credentials::load_or_make(dir.path(), &["127.0.0.1".to_owned()]).unwrap();
        let second = Credentials::load_or_make(dir.path(), &["127.0.0.2".to_owned()]).unwrap();
        assert_ne!(first.certificate_pem, second.certificate_pem);
        assert_eq!(first.token, second.token);
    }

    #[test]
    fn a_blank_secret_is_refused_rather_than_used() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("internal-secret"), "\n").unwrap();
        assert!(Credentials::load_or_make(dir.path(), &["localhost".to_owned()]).is_err());
    }
}
