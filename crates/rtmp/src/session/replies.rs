//! The words a server answers with: `connect` results and status objects (§7.2).

use crate::amf0::Value;

/// Enhanced RTMP v2, `FourCcInfoMask`: we forward, neither decode nor encode.
const CAN_FORWARD: f64 = 4.0;
/// Enhanced RTMP v2, `CapsExMask`: we read ModEx.
const CAPS_MOD_EX: f64 = 4.0;

/// The properties and the information of `connect`'s `_result`.
pub(super) fn connected() -> [Value; 2] {
    let video = Value::object([
        ("avc1", CAN_FORWARD.into()),
        ("hvc1", CAN_FORWARD.into()),
        ("av01", CAN_FORWARD.into()),
    ]);
    let audio = Value::object([("mp4a", CAN_FORWARD.into()), ("Opus", CAN_FORWARD.into())]);
    let list = ["avc1", "hvc1", "av01", "mp4a", "Opus"].map(Value::from);
    let properties = Value::object([
        ("fmsVer", "FMS/3,5,7,7009".into()),
        ("capabilities", 31.0.into()),
        ("mode", 1.0.into()),
        ("fourCcList", Value::StrictArray(Vec::from(list))),
        ("videoFourCcInfoMap", video),
        ("audioFourCcInfoMap", audio),
        ("capsEx", CAPS_MOD_EX.into()),
    ]);
    let information = Value::object([
        ("level", "status".into()),
        ("code", "NetConnection.Connect.Success".into()),
        ("description", "Connection succeeded.".into()),
        ("objectEncoding", 0.0.into()),
    ]);
    [properties, information]
}

/// An information object.
pub(super) fn information(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", level.into()),
        ("code", code.into()),
        ("description", description.into()),
    ])
}
