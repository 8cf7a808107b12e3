//! The key of this installation: given, or made at the first start and kept in the data folder, readable by its owner only.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore;
use sha2::{Digest, Sha256};

use super::Config;

/// Name of the file in the data folder.
pub const FILE: &str = "secret.key";

impl Config {
    /// The key that authenticates cursors and links. Makes the file when there is neither a setting nor a file.
    pub fn secret_key(&self) -> io::Result<[u8; 32]> {
        let text = match &self.app.secret_key {
            Some(secret) => secret.reveal().to_owned(),
            None => read_or_make(&self.app.data_dir.join(FILE))?,
        };
        Ok(Sha256::digest(text.as_bytes()).into())
    }
}

fn read_or_make(path: &Path) -> io::Result<String> {
    match OpenOptions::new().read(true).open(path) {
        Ok(mut file) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let text = text.trim().to_owned();
            if text.len() < 32 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the key in it is damaged; restore it from a backup, or remove it to have a new one made",
                ));
            }
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Written beside and renamed, so that a crash never leaves half a key.
    let beside = path.with_extension("key.new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let first = read_or_make(&path).unwrap();
        assert_eq!(first.len(), 43);
        assert_eq!(read_or_make(&path).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, "short").unwrap();
        assert!(read_or_make(&path).is_err());
    }
}
