//! AMF0 in and out, and what must not pass.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::Error;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-1e9..1e9).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        "[a-z]{0,12}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        (0.0..1e12).prop_map(Value::Date),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let pairs = prop::collection::vec(("[a-z]{1,8}", inner.clone()), 0..6);
        prop_oneof![
            pairs.clone().prop_map(Value::Object),
            pairs.prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn values_round_trip(values in prop::collection::vec(values(), 0..4)) {
        let mut bytes = BytesMut::new();
        write_all(&mut bytes, &values);
        prop_assert_eq!(read_all(&bytes), Ok(values));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = read_all(&bytes);
    }
}

#[test]
fn a_nested_bomb_is_refused() {
    let arrays = [marker::STRICT_ARRAY, 0, 0, 0, 1].repeat(10_000);
    assert!(matches!(read_all(&arrays), Err(Error::Limit { .. })));
    let objects = [marker::OBJECT, 0, 1, b'a'].repeat(10_000);
    assert!(matches!(read_all(&objects), Err(Error::Limit { .. })));
}

#[test]
fn an_announced_array_is_not_allocated() {
    let bytes = [marker::STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff];
    assert!(matches!(read_all(&bytes), Err(Error::Limit { .. })));
}

#[test]
fn wide_values_are_refused() {
    let mut keys = vec![marker::OBJECT];
    keys.extend([0, 1, b'k', marker::NULL].repeat(MAX_ELEMENTS + 1));
    assert!(matches!(read_all(&keys), Err(Error::Limit { .. })));
    let nulls = [marker::NULL].repeat(MAX_VALUES + 1);
    assert!(matches!(read_all(&nulls), Err(Error::Limit { .. })));
}

#[test]
fn a_long_string_is_a_string() {
    let long = Value::String("x".repeat(70_000));
    let mut bytes = BytesMut::new();
    write(&mut bytes, &long);
    assert_eq!(bytes.first(), Some(&marker::LONG_STRING));
    assert_eq!(read_all(&bytes), Ok(vec![long]));
}

#[test]
fn a_missing_last_end_marker_is_forgiven() {
    let bytes = [marker::OBJECT, 0, 1, b'a', marker::NULL];
    assert_eq!(
        read_all(&bytes),
        Ok(vec![Value::object([("a", Value::Null)])])
    );
}

#[test]
fn references_are_refused() {
    assert_eq!(read_all(&[7, 0, 0]), Err(Error::Amf0Marker { marker: 7 }));
}
