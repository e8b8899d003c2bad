//! What a line of JSON must be, by docs/log-line.schema.json.

use jsonschema::Validator;
use serde_json::Value;
use std::path::Path;

/// Tells whether an object is as the schema says, the formats of its strings included.
pub(crate) fn validator() -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/log-line.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).expect("the schema")).expect("JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

/// Asserts that all of these are.
pub(crate) fn assert_valid(objects: &[Value]) {
    let validator = validator();
    for object in objects {
        let errors: Vec<String> = validator.iter_errors(object).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {object}");
    }
}
