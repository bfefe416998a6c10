//! Values and numbers as JSON.

use std::time::{Duration, Instant};

use kv::client::{Context, Value};
use serde_json::json;

/// A value as JSON: text if it is UTF-8, else its bytes in hexadecimal.
pub fn bytes(bytes: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    }
}

/// All values of a key, newest first.
pub fn values(values: &[Value]) -> serde_json::Value {
    values.iter().map(|value| bytes(&value.bytes)).collect()
}

/// A context as text, or null.
pub fn context(context: Option<&Context>) -> serde_json::Value {
    json!(context.map(Context::to_string))
}

/// Milliseconds since `start`, to the microsecond.
pub fn time_ms(start: Instant) -> serde_json::Value {
    let elapsed: Duration = start.elapsed();
    json!(elapsed.as_micros() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_hexadecimal() {
        assert_eq!(bytes("grün".as_bytes()), json!("grün"));
        assert_eq!(bytes(&[0xff, 0x00]), json!({ "hex": "ff00" }));
    }
}
