//! What a stored value looks like: a checksum, then MessagePack.
//!
//! The checksum covers the value's name as well, so that one value cannot pass for another. redb has checksums of its own, but
//! looks at them only when it opens a file; a log that was read wrongly would be applied wrongly, by this replica alone.

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::file::FileError;

const CHECKSUM_BYTES: usize = size_of::<u64>();

/// A value as it is stored under a name.
pub fn seal<T: Serialize>(name: &str, value: &T) -> Result<Vec<u8>, FileError> {
    let mut record = vec![0; CHECKSUM_BYTES];
    rmp_serde::encode::write(&mut record, value)
        .map_err(|error| FileError::Unwritable { what: name.to_owned(), detail: error.to_string() })?;
    Ok(sealed(name, record))
}

/// Bytes as they are stored under a name.
pub fn seal_bytes(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(CHECKSUM_BYTES + bytes.len());
    record.resize(CHECKSUM_BYTES, 0);
    record.extend_from_slice(bytes);
    sealed(name, record)
}

/// The value that [`seal`] stored under the name.
pub fn unseal<T: DeserializeOwned>(name: &str, record: &[u8]) -> Result<T, FileError> {
    let mut rest = unseal_bytes(name, record)?;
    let value = rmp_serde::from_read(&mut rest).map_err(|error| damaged(name, error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(damaged(name, format!("{} bytes follow its end", rest.len()))) }
}

/// The bytes that [`seal_bytes`] stored under the name.
pub fn unseal_bytes<'a>(name: &str, record: &'a [u8]) -> Result<&'a [u8], FileError> {
    match record.split_first_chunk::<CHECKSUM_BYTES>() {
        Some((stored, value)) if u64::from_be_bytes(*stored) == checksum(name, value) => Ok(value),
        _ => Err(damaged(name, "its checksum does not fit".to_owned())),
    }
}

/// Fills in the checksum in front of the value.
fn sealed(name: &str, mut record: Vec<u8>) -> Vec<u8> {
    let (first, value) = record.split_at_mut(CHECKSUM_BYTES);
    first.copy_from_slice(&checksum(name, value).to_be_bytes());
    record
}

fn checksum(name: &str, value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, xxh3_64(name.as_bytes()))
}

fn damaged(name: &str, detail: String) -> FileError {
    FileError::Damaged { what: name.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_sealed_under_the_name() {
        let record = seal("entry 7", &("value", 1)).unwrap();
        assert_eq!(unseal::<(String, u8)>("entry 7", &record).unwrap(), ("value".to_owned(), 1));
        assert_eq!(unseal_bytes("b", &seal_bytes("b", b"bytes")).unwrap(), b"bytes");
    }

    #[test]
    fn no_other_bytes_pass_for_a_value() {
        let record = seal("entry 7", &("value", 1)).unwrap();
        assert!(unseal::<(String, u8)>("entry 8", &record).is_err());
        for at in 0..record.len() {
            assert!(unseal::<(String, u8)>("entry 7", &record[..at]).is_err());
            let mut flipped = record.clone();
            flipped[at] ^= 1;
            assert!(unseal::<(String, u8)>("entry 7", &flipped).is_err());
        }
        let longer = seal_bytes("entry 7", &[&record[8..], b"x"].concat());
        assert!(unseal::<(String, u8)>("entry 7", &longer).is_err());
    }
}
