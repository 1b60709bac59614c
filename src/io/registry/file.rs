//! Schemas in files: texts, or descriptors of Protobuf, which are bytes.

use std::path::Path;

/// The text of a schema; descriptors in base64, as registries tell them.
///
/// # Errors
/// When the file cannot be read.
pub fn text_of(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::read(path)?;
    // A descriptor has lengths and numbers of fields in it, which are control characters.
    let is_text = |text: &String| !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    let text = String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes);
    Ok(match text {
        Ok(text) if is_text(&text) => text,
        Ok(text) => openssl::base64::encode_block(text.as_bytes()),
        Err(bytes) => openssl::base64::encode_block(&bytes),
    })
}
