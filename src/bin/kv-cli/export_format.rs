//! One key on a line of an export.
//!
//! Nothing in it belongs to the cluster that it came from: no context, no dots. So it can be written to any cluster, where
//! it becomes a new write; siblings become siblings again.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kv::client::{Entry, Value};
use serde::{Deserialize, Serialize};

/// A key and its values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedKey {
    /// Where it lives.
    pub bucket: String,
    /// Its name.
    pub key: Blob,
    /// Its siblings, newest first; mostly one.
    pub values: Vec<ExportedValue>,
}

/// One of a key's values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedValue {
    /// The bytes.
    pub value: Blob,
    /// When it was written, in milliseconds since 1970. For people: an import is a new write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_ms: Option<u64>,
    /// When it counts as deleted, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
}

/// Bytes: a JSON string if they are UTF-8, else `{"base64": "..."}` (RFC 4648, with padding).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Blob(pub Vec<u8>);

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a string or {\"base64\": \"...\"} was expected")]
enum Written {
    Text(String),
    Base64 { base64: String },
}

impl From<Blob> for Written {
    fn from(Blob(bytes): Blob) -> Written {
        match String::from_utf8(bytes) {
            Ok(text) => Written::Text(text),
            Err(other) => Written::Base64 { base64: BASE64_STANDARD.encode(other.as_bytes()) },
        }
    }
}

impl TryFrom<Written> for Blob {
    type Error = String;

    fn try_from(written: Written) -> Result<Blob, String> {
        match written {
            Written::Text(text) => Ok(Blob(text.into_bytes())),
            Written::Base64 { base64 } => {
                BASE64_STANDARD.decode(base64).map(Blob).map_err(|error| format!("bad base64: {error}"))
            }
        }
    }
}

impl ExportedKey {
    /// What a listing found.
    pub fn new(bucket: &str, entry: Entry) -> ExportedKey {
        let value = |value: Value| ExportedValue {
            value: Blob(value.bytes.into()),
            written_ms: Some(value.written_ms),
            expires_ms: value.expires_ms,
        };
        ExportedKey {
            bucket: bucket.into(),
            key: Blob(entry.key.into()),
            values: entry.values.into_iter().map(value).collect(),
        }
    }
}

/// A key or a value as JSON.
pub fn text_or_base64(bytes: &[u8]) -> serde_json::Value {
    serde_json::to_value(Blob(bytes.into())).expect("text serializes into memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(key: &[u8], values: &[&[u8]]) -> ExportedKey {
        let value =
            |bytes: &&[u8]| ExportedValue { value: Blob(bytes.to_vec()), written_ms: Some(1), expires_ms: None };
        ExportedKey { bucket: "carts".into(), key: Blob(key.into()), values: values.iter().map(value).collect() }
    }

    #[test]
    fn text_stays_text_and_other_bytes_become_base64() {
        let line = serde_json::to_string(&exported("grün\n".as_bytes(), &[b"", &[0xff, 0x00]])).unwrap();
        let wanted = r#"{"bucket":"carts","key":"grün\n","values":[{"value":"","written_ms":1},{"value":{"base64":"/wA="},"written_ms":1}]}"#;
        assert_eq!(line, wanted);
    }

    #[test]
    fn lines_round_trip() {
        for bytes in [&b"plain"[..], b"", b"\x00\x01", b"\xff\xfe", "\u{1f980}\"\\".as_bytes()] {
            let before = exported(bytes, &[bytes, b"x"]);
            let line = serde_json::to_string(&before).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<ExportedKey>(&line).unwrap(), before);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let complaint = |line: &str| serde_json::from_str::<ExportedKey>(line).unwrap_err().to_string();
        assert!(complaint(r#"{"key":"a","values":[]}"#).contains("bucket"));
        assert!(complaint(r#"{"bucket":"b","key":{"base64":"!"},"values":[]}"#).contains("bad base64"));
        assert!(complaint(r#"{"bucket":"b","key":5,"values":[]}"#).contains("a string or"));
        assert!(complaint(r#"{"bucket":"b","key":"a","value":"x","values":[]}"#).contains("unknown field"));
    }
}
