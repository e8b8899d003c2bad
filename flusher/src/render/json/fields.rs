//! Fields of a JSON line: an object with the values' own types.
//!
//! | value | JSON |
//! |---|---|
//! | integers up to 64 bits, and of 128 where they fit those | number |
//! | larger integers of 128 bits | string of their digits, because readers take such numbers for floats |
//! | finite floats | number, the shortest that is the same float |
//! | NaN and infinities | `"NaN"`, `"inf"`, `"-inf"` |
//! | bool | `true`, `false` |
//! | what its front end gave as JSON | as it is, if valid; else string |
//! | char, strings, bytes, what its caller formatted | string |
//!
//! An object should have no name twice, and no value is to be lost: a further field of the same name is called `name#2`.

use super::string::{json, readable, string};
use crate::render::digits::append_integer;
use crate::render::value::Value;
use lastwords_ring::format::record::Field;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Appends `,"fields":{…}`, unless there are none.
pub(crate) fn fields<'a>(out: &mut Vec<u8>, fields: impl Iterator<Item = (&'a [u8], Value<'a>)>) {
    let mut names = Names::default();
    for (name, value) in fields {
        out.extend_from_slice(if names.is_empty() { b",\"fields\":{" } else { b"," });
        string(out, names.name(name).as_bytes());
        out.push(b':');
        append_value(out, &value);
    }
    if !names.is_empty() {
        out.push(b'}');
    }
}

/// Name and value of a field of a front end. Bytes that are not a value of their type are shown as bytes.
pub(crate) fn named<'a>(field: Field<'a>) -> (&'a [u8], Value<'a>) {
    (field.name, Value::of(&field).unwrap_or(Value::Bytes(field.value)))
}

/// Appends a value.
fn append_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match *value {
        Value::Formatted(bytes) | Value::Str(bytes) | Value::Bytes(bytes) => string(out, bytes),
        Value::Json(bytes) => json(out, bytes),
        Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Value::Char(value) => string(out, value.encode_utf8(&mut [0; 4]).as_bytes()),
        Value::F32(value) if value.is_finite() => _ = serde_json::to_writer(out, &value),
        Value::F64(value) if value.is_finite() => _ = serde_json::to_writer(out, &value),
        Value::F32(value) => string(out, value.to_string().as_bytes()),
        Value::F64(value) => string(out, value.to_string().as_bytes()),
        Value::Unsigned(value) => append_integer(out, value),
        Value::I8(value) => append_integer(out, value),
        Value::I16(value) => append_integer(out, value),
        Value::I32(value) => append_integer(out, value),
        Value::I64(value) => append_integer(out, value),
        Value::U128(value) => append_large(out, u64::try_from(value).is_ok(), value),
        Value::I128(value) => append_large(out, i64::try_from(value).is_ok() || u64::try_from(value).is_ok(), value),
    }
}

fn append_large(out: &mut Vec<u8>, fits: bool, value: impl ToString) {
    let digits = value.to_string();
    if fits { out.extend_from_slice(digits.as_bytes()) } else { string(out, digits.as_bytes()) }
}

/// The names of an object's members so far, each with the last number that was given to a further one. In an order, because a
/// hash table of `std` asks the kernel for random bytes, and panics where it gets none.
#[derive(Default)]
struct Names<'a>(BTreeMap<Cow<'a, str>, u64>);

impl<'a> Names<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the member of this name is called.
    fn name(&mut self, name: &'a [u8]) -> Cow<'a, str> {
        let name = readable(name);
        let Some(last) = self.0.get_mut(&name) else {
            self.0.insert(name.clone(), 1);
            return name;
        };
        let from = *last + 1;
        let numbered = |number: u64| Cow::from(format!("{name}#{number}"));
        let free = (from..).find(|number| !self.0.contains_key(&numbered(*number))).unwrap_or(from);
        self.0.insert(numbered(free), 1);
        self.0.insert(name.clone(), free);
        numbered(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(values: &[(&str, Value<'_>)]) -> String {
        let mut out = Vec::new();
        fields(&mut out, values.iter().map(|(name, value)| (name.as_bytes(), *value)));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_value_has_its_own_type() {
        let values = [
            ("u", Value::Unsigned(u64::MAX)),
            ("i", Value::I64(i64::MIN)),
            ("small", Value::I8(-1)),
            ("fits", Value::U128(u64::MAX.into())),
            ("large", Value::U128(u128::from(u64::MAX) + 1)),
            ("low", Value::I128(i128::from(i64::MIN) - 1)),
            ("f", Value::F64(2.5)),
            ("whole", Value::F64(1.0)),
            ("single", Value::F32(0.1)),
            ("nan", Value::F64(f64::NAN)),
            ("inf", Value::F32(f32::NEG_INFINITY)),
            ("yes", Value::Bool(true)),
            ("c", Value::Char('"')),
            ("bytes", Value::Bytes(b"a\xff")),
            ("shown", Value::Formatted(b"(1, 2)")),
        ];
        let expected = r#","fields":{"u":18446744073709551615,"i":-9223372036854775808,"small":-1,"fits":18446744073709551615,"large":"18446744073709551616","low":"-9223372036854775809","f":2.5,"whole":1.0,"single":0.1,"nan":"NaN","inf":"-inf","yes":true,"c":"\"","bytes":"a\\xff","shown":"(1, 2)"}"#;
        assert_eq!(object(&values), expected);
        assert_eq!(object(&[]), "");
    }

    #[test]
    fn no_name_stands_twice_and_no_value_is_lost() {
        let one = Value::Unsigned(1);
        let names = ["id", "id", "id#2", "id", "", "", "id"];
        let expected = r##","fields":{"id":1,"id#2":1,"id#2#2":1,"id#3":1,"":1,"#2":1,"id#4":1}"##;
        assert_eq!(object(&names.map(|name| (name, one))), expected);
        assert_eq!(object(&[("a#2", one), ("a", one), ("a", one)]), r#","fields":{"a#2":1,"a":1,"a#3":1}"#);
    }
}
