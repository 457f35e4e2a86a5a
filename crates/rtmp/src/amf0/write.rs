//! Writes AMF0.

use bytes::{BufMut, BytesMut};

use super::{Value, marker};

/// Appends `values` one after the other.
pub fn write_all(out: &mut BytesMut, values: &[Value]) {
    for value in values {
        write(out, value);
    }
}

/// Appends one value. Keys are cut to 65535 bytes, which is all they can be.
pub fn write(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Number(number) => {
            out.put_u8(marker::NUMBER);
            out.put_f64(*number);
        }
        Value::Boolean(truth) => out.put_slice(&[marker::BOOLEAN, u8::from(*truth)]),
        Value::String(text) => write_text(out, text),
        Value::Object(pairs) => {
            out.put_u8(marker::OBJECT);
            write_pairs(out, pairs);
        }
        Value::EcmaArray(pairs) => {
            out.put_u8(marker::ECMA_ARRAY);
            out.put_u32(pairs.len() as u32);
            write_pairs(out, pairs);
        }
        Value::StrictArray(elements) => {
            out.put_u8(marker::STRICT_ARRAY);
            out.put_u32(elements.len() as u32);
            write_all(out, elements);
        }
        Value::Null => out.put_u8(marker::NULL),
        Value::Undefined => out.put_u8(marker::UNDEFINED),
        Value::Date(millis) => {
            out.put_u8(marker::DATE);
            out.put_f64(*millis);
            out.put_i16(0);
        }
    }
}

fn write_text(out: &mut BytesMut, text: &str) {
    if let Ok(size) = u16::try_from(text.len()) {
        out.put_u8(marker::STRING);
        out.put_u16(size);
    } else {
        out.put_u8(marker::LONG_STRING);
        out.put_u32(text.len() as u32);
    }
    out.put_slice(text.as_bytes());
}

fn write_pairs(out: &mut BytesMut, pairs: &[(String, Value)]) {
    for (key, value) in pairs {
        let size = u16::try_from(key.len()).unwrap_or(u16::MAX);
        out.put_u16(size);
        out.put_slice(key.as_bytes().get(..usize::from(size)).unwrap_or(&[]));
        write(out, value);
    }
    out.put_slice(&[0, 0, marker::OBJECT_END]);
}
