//! The secrets of one development installation: made at the first start, kept with its data, readable
//! by their owner only.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use perigee_shared::caller::{CorpusScope, Scope};
use perigee_shared::id::TenantId;
use perigee_shared::key::{Key, KeyKind, KeyRecord, KeySecret};
use serde_json::{Value, json};

const FILE: &str = "credentials.json";
const TENANT: &str = "dev";

/// What the two halves and their user share.
#[derive(Clone, Debug)]
pub struct Credentials {
    key: Key,
    tenant: TenantId,
    edge_secret: String,
    operator_token: String,
    key_secret: String,
    admin_secret: String,
}

impl Credentials {
    /// The credentials kept in `directory`; makes them, and the directory, when there are none.
    ///
    /// # Errors
    /// When the file can't be read or written, or holds something else.
    pub fn load_or_create(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text)
                .with_context(|| format!("{} is damaged: delete it to get new ones", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
                let credentials = Self::random()?;
                credentials.save(&path).with_context(|| format!("writing {}", path.display()))?;
                Ok(credentials)
            }
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// New ones, kept nowhere.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn random() -> Result<Self> {
        Ok(Self {
            key: Key::from_random(KeyKind::Secret, random()?),
            tenant: TenantId::new(TENANT)?,
            edge_secret: hex(&random::<32>()?),
            operator_token: hex(&random::<32>()?),
            key_secret: hex(&random::<32>()?),
            admin_secret: hex(&random::<32>()?),
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let kept: Value = serde_json::from_str(text)?;
        let field = |name: &str| {
            kept[name].as_str().map(str::to_owned).with_context(|| format!("`{name}` is missing"))
        };
        Ok(Self {
            key: Key::parse(&field("key")?)?,
            tenant: TenantId::new(TENANT)?,
            edge_secret: field("edge_secret")?,
            operator_token: field("operator_token")?,
            key_secret: field("key_secret")?,
            admin_secret: field("admin_secret")?,
        })
    }

    fn save(&self, path: &Path) -> Result<()> {
        let text = json!({
            "key": self.key.reveal(),
            "edge_secret": self.edge_secret,
            "operator_token": self.operator_token,
            "key_secret": self.key_secret,
            "admin_secret": self.admin_secret,
        });
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{text:#}")?;
        Ok(file.sync_all()?)
    }

    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The key may do everything with every corpus of its tenant.
    #[must_use]
    pub fn record(&self) -> KeyRecord {
        KeyRecord {
            id: None,
            tenant: self.tenant.clone(),
            tier: None,
            corpora: CorpusScope::All,
            audience: BTreeSet::new(),
            scopes: Scope::ALL.into(),
            expires_at_s: None,
            web_origins: BTreeSet::new(),
        }
    }

    /// The key's entry in the key-value store.
    #[must_use]
    pub fn key_entry(&self) -> (String, String) {
        (self.record_name(), json!(self.record()).to_string())
    }

    /// The name of the key's record, as the edge makes it with this key secret.
    #[must_use]
    pub fn record_name(&self) -> String {
        KeySecret::new(self.key_secret.as_bytes()).hash(&self.key).record_name()
    }

    #[must_use]
    pub fn edge_secret(&self) -> &str {
        &self.edge_secret
    }

    #[must_use]
    pub fn operator_token(&self) -> &str {
        &self.operator_token
    }

    #[must_use]
    pub fn key_secret(&self) -> &str {
        &self.key_secret
    }

    #[must_use]
    pub fn admin_secret(&self) -> &str {
        &self.admin_secret
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("reading /dev/urandom")?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_second_start_finds_the_same_credentials_and_nobody_else_can_read_them() {
        let directory = tempfile::tempdir().unwrap();
        let first = Credentials::load_or_create(directory.path()).unwrap();
        let second = Credentials::load_or_create(directory.path()).unwrap();
        assert_eq!(first.key().reveal(), second.key().reveal());
        assert_eq!(first.edge_secret(), second.edge_secret());
        assert_eq!(first.operator_token(), second.operator_token());
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        fs::write(&path, r#"{"key":"pgk_1"}"#).unwrap();
        let refusal = format!("{:#}", Credentials::load_or_create(directory.path()).unwrap_err());
        assert!(refusal.contains(FILE), "{refusal}");
        assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"key":"pgk_1"}"#);
    }
}
