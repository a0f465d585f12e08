//! How large a schema may be.

use serde_json::{Value, json};

use crate::output::strict;

/// `depth` objects in one another, the root being one, with a text in the last.
fn nested(depth: usize) -> Value {
    let text = json!({"type": "string"});
    (0..depth).fold(text, |schema, _| json!({"properties": {"a": schema}, "required": ["a"]}))
}

/// `number` properties named `p0000`, `p0001` and so on.
fn many(number: usize) -> Value {
    let entry = |index| (format!("p{index:04}"), json!({"type": "null"}));
    json!({"properties": (0..number).map(entry).collect::<Value>()})
}

/// Enums with so many values of so many characters each.
fn enums(sizes: &[(usize, usize)]) -> Value {
    let values = |(number, length): (usize, usize)| -> Value {
        (0..number).map(|index| format!("{index:é>length$}")).collect()
    };
    let entry = |(index, size)| (format!("e{index}"), json!({"enum": values(size)}));
    let properties: serde_json::Map<_, _> = sizes.iter().copied().enumerate().map(entry).collect();
    json!({"properties": properties, "required": properties.keys().collect::<Vec<_>>()})
}

#[test]
fn a_schema_is_as_large_as_servers_take_and_no_larger() {
    let ten = ["properties.a"; 10].join(".");
    let long =
        |length| json!({"properties": {"a": {"const": "é".repeat(length)}}, "required": ["a"]});
    let defined = |a: Value| json!({"type": "object", "$defs": {"a": a}});
    let named = |length| {
        let name = "n".repeat(length);
        json!({"type": "object", "$defs": {name: {"type": "null"}}})
    };
    let mut with_definitions = many(5_000);
    with_definitions["$defs"] = json!({"a": {"type": "null"}});
    let table = [
        (nested(10), nested(11), ten.as_str(), "10 levels of objects in one another"),
        (
            defined(nested(10)),
            defined(nested(11)),
            &format!("$defs.a.{ten}"),
            "10 levels of objects in one another",
        ),
        (with_definitions, many(5_001), "properties.p5000", "5000 properties in all"),
        (
            enums(&[(400, 4), (600, 4)]),
            enums(&[(400, 4), (601, 4)]),
            "properties.e1.enum",
            "1000 values of enums in all",
        ),
        (
            enums(&[(250, 61), (251, 59)]),
            enums(&[(251, 60)]),
            "properties.e0.enum",
            "15000 characters in the values of an enum of more than 250",
        ),
        (
            enums(&[(50, 1_000), (50, 1_000), (19, 1_050)]),
            enums(&[(50, 1_000), (50, 1_000), (20, 1_000)]),
            "properties.e2.enum",
            "120000 characters of names and values in all",
        ),
        (
            defined(json!({"anyOf": [{"type": "null"}, {"const": "é".repeat(119_999)}]})),
            defined(json!({"anyOf": [{"type": "null"}, {"const": "é".repeat(120_000)}]})),
            "$defs.a.anyOf.1.const",
            "120000 characters of names and values in all",
        ),
        (
            defined(json!({"type": "array", "items": nested(10)})),
            defined(json!({"type": "array", "items": nested(11)})),
            &format!("$defs.a.items.{ten}"),
            "10 levels of objects in one another",
        ),
        (
            long(119_999),
            long(120_000),
            "properties.a.const",
            "120000 characters of names and values in all",
        ),
    ];
    for (largest, larger, path, limit) in table {
        strict(largest).unwrap();
        let problem = format!("strict servers take at most {limit}: ask for less at once");
        let error = strict(larger).unwrap_err();
        assert_eq!((error.path.as_str(), error.problem.to_string()), (path, problem));
    }
    strict(named(120_000)).unwrap();
    assert!(strict(named(120_001)).is_err());
}
