//! Commands: AMF0 values with a name and a transaction id (§7.2).

use bytes::{Bytes, BytesMut};

use crate::{Error, Message, amf0, amf0::Value, message_type};

/// A command.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub(super) name: String,
    /// Zero if no answer is wanted.
    pub(super) transaction: f64,
    /// The command object.
    pub(super) object: Value,
    pub(super) arguments: Vec<Value>,
}

impl Command {
    pub(super) fn parse(message: &Message) -> Result<Self, Error> {
        let mut values = amf0::read_all(amf0_part(message))?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(Error::Command { field: "name" });
        };
        // Some encoders leave the transaction id of commands without answer away.
        let transaction = values
            .next()
            .and_then(|value| value.as_f64())
            .unwrap_or(0.0);
        Ok(Self {
            name,
            transaction,
            object: values.next().unwrap_or(Value::Null),
            arguments: values.collect(),
        })
    }

    /// The text of argument `index`, or an empty one.
    pub(super) fn text(&self, index: usize) -> &str {
        let argument = self.arguments.get(index);
        argument.and_then(Value::as_str).unwrap_or_default()
    }

    /// A property of the first argument as text: what `onStatus` and `_error` say.
    pub(super) fn information(&self, key: &str) -> &str {
        let property = self.arguments.first().and_then(|value| value.get(key));
        property.and_then(Value::as_str).unwrap_or_default()
    }
}

/// The AMF0 values of a command or data message: AMF3 types have a zero before them (§7.1.1).
pub(super) fn amf0_part(message: &Message) -> &[u8] {
    let payload = message.payload.as_ref();
    match (message.header.type_id, payload) {
        (message_type::COMMAND_AMF3 | message_type::DATA_AMF3, [0, rest @ ..]) => rest,
        _ => payload,
    }
}

/// A command's payload.
pub(super) fn encode(name: &str, transaction: f64, rest: &[Value]) -> Bytes {
    let mut out = BytesMut::new();
    amf0::write(&mut out, &name.into());
    amf0::write(&mut out, &transaction.into());
    amf0::write_all(&mut out, rest);
    out.freeze()
}
