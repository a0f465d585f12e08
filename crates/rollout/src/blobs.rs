//! Long strings that are stored beside a log, once each.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use sha2::{Digest, Sha256};

/// From how many bytes on a string of a payload is stored in a blob, its quotes aside.
pub const BLOB_BYTES: usize = 64 * 1024;

/// Where long strings of payloads are.
///
/// In a payload `"blob:<digest>"` stands for such a string; the digest is the SHA-256 of its JSON
/// between the quotes, in lower-case hexadecimal digits. The envelope's field `blobs` says where
/// in the payload stand-ins are, so that a text which only looks like one is never mistaken.
pub trait Blobs {
    /// The bytes whose SHA-256 this is, `None` if they are not there. Whoever asks checks them.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn get(&self, sha256_hex: &str) -> io::Result<Option<Vec<u8>>>;

    /// How many bytes that are, `None` if they are not there. By default they are read for it.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn byte_count(&self, sha256_hex: &str) -> io::Result<Option<u64>> {
        Ok(self.get(sha256_hex)?.map(|bytes| bytes.len() as u64))
    }

    /// Where they are looked for, to be told to people: the path of a file. By default nothing is said.
    fn place(&self, sha256_hex: &str) -> Option<String> {
        let _ = sha256_hex;
        None
    }
}

/// The name of the blob with these bytes: their SHA-256, in lower-case hexadecimal digits.
pub fn blob_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut digits, byte| {
        // Writing into a string never fails.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// No blobs: for logs that refer to none.
impl Blobs for () {
    fn get(&self, _: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// Blobs in memory, by digest.
impl Blobs for BTreeMap<String, Vec<u8>> {
    fn get(&self, sha256_hex: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(BTreeMap::get(self, sha256_hex).cloned())
    }

    fn byte_count(&self, sha256_hex: &str) -> io::Result<Option<u64>> {
        Ok(BTreeMap::get(self, sha256_hex).map(|bytes| bytes.len() as u64))
    }
}

impl<B: Blobs + ?Sized> Blobs for &B {
    fn get(&self, sha256_hex: &str) -> io::Result<Option<Vec<u8>>> {
        (**self).get(sha256_hex)
    }

    fn byte_count(&self, sha256_hex: &str) -> io::Result<Option<u64>> {
        (**self).byte_count(sha256_hex)
    }

    fn place(&self, sha256_hex: &str) -> Option<String> {
        (**self).place(sha256_hex)
    }
}
