//! The rules of strict servers and the meaning of JSON Schema, written anew and without regard for
//! speed.

use serde_json::Value;

/// What a strict server would complain of in `root`.
pub(super) fn complaints(root: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    if root["type"] != "object" || !root["anyOf"].is_null() {
        complaints.push("the root is not an object".to_owned());
    }
    check(root, root, "#", &mut complaints);
    let [properties, depth, values, characters] = size(root, 1);
    let limits = [(properties, 5_000), (depth, 10), (values, 1_000), (characters, 120_000)];
    for (size, limit) in limits {
        if size > limit {
            complaints.push(format!("{size} is more than {limit}"));
        }
    }
    complaints
}

fn check(root: &Value, schema: &Value, at: &str, complaints: &mut Vec<String>) {
    let mut complain = |what: &str| complaints.push(format!("{at}: {what}"));
    let Some(keywords) = schema.as_object() else {
        complain("not an object");
        return;
    };
    let has = |keyword: &str| keywords.contains_key(keyword);
    if let Some(reference) = keywords.get("$ref") {
        if keywords.len() > 1 {
            complain("a reference with siblings");
        }
        let target = reference.as_str().and_then(|it| root.pointer(it.strip_prefix('#')?));
        if target.is_none() {
            complain("a reference to nothing");
        }
        return;
    }
    for (keyword, value) in keywords {
        if !(is_permitted(keyword, value) || keyword == "$defs" && at == "#") {
            complain(&format!("`{keyword}` is not permitted"));
        }
    }
    if has("type") == has("anyOf") {
        complain("neither a type nor alternatives, or both");
    }
    let is = |of: &str| schema["type"] == of || list(&schema["type"]).iter().any(|it| it == of);
    if is("object") {
        let names: Vec<&String> = object(schema, "properties").map(|it| it.0).collect();
        let required: Vec<&str> =
            list(&schema["required"]).iter().filter_map(Value::as_str).collect();
        if schema["additionalProperties"] != false {
            complain("an open object");
        }
        if !has("properties") || !has("required") || names != required {
            complain("not all properties are required, or not in their order");
        }
    } else if has("properties") || has("required") || has("additionalProperties") {
        complain("properties of what is no object");
    }
    if is("array") != has("items") {
        complain("a list without items, or items without a list");
    }
    let values = list(&schema["enum"]);
    let characters: usize = values.iter().filter_map(|it| Some(it.as_str()?.chars().count())).sum();
    if values.len() > 250 && characters > 15_000 {
        complain("a long enum of long values");
    }
    for (name, part) in object(schema, "properties").chain(object(schema, "$defs")) {
        check(root, part, &format!("{at}/{name}"), complaints);
    }
    for part in list(&schema["anyOf"]).iter().chain(schema.get("items")) {
        check(root, part, &format!("{at}/*"), complaints);
    }
}

fn is_permitted(keyword: &str, value: &Value) -> bool {
    let permitted = "type description properties required additionalProperties items anyOf enum \
                     const pattern minLength maxLength minimum maximum exclusiveMinimum \
                     exclusiveMaximum multipleOf minItems maxItems";
    let formats = "date-time time date duration email hostname ipv4 ipv6 uuid";
    permitted.split(' ').any(|it| it == keyword)
        || keyword == "format" && formats.split(' ').any(|it| value == it)
}

/// Properties, the greatest depth of objects, values of enums, characters of names and constants.
fn size(schema: &Value, depth: usize) -> [usize; 4] {
    let is_object = !schema["properties"].is_null();
    let constants = list(&schema["enum"]);
    let characters = |text: &Value| text.as_str().map_or(0, |text| text.chars().count());
    let mut sum = [0, if is_object { depth } else { 0 }, constants.len(), 0];
    sum[3] = constants.iter().chain(schema.get("const")).map(characters).sum();
    let mut add = |part: &Value, depth| {
        let [properties, depth, values, characters] = size(part, depth);
        let deepest = sum[1].max(depth);
        sum = [sum[0] + properties, deepest, sum[2] + values, sum[3] + characters];
    };
    object(schema, "properties").for_each(|(_, part)| add(part, depth + 1));
    object(schema, "$defs").for_each(|(_, part)| add(part, 1));
    list(&schema["anyOf"]).iter().chain(schema.get("items")).for_each(|part| add(part, depth));
    let names = object(schema, "properties").chain(object(schema, "$defs"));
    sum[3] += names.map(|(name, _)| name.chars().count()).sum::<usize>();
    sum[0] += object(schema, "properties").count();
    sum
}

/// What a null stands for where a property need not be there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Nulls {
    /// Itself.
    Null,
    /// A property that is not there.
    Absent,
}

/// Whether `value` fits `schema`. Patterns and formats are not looked at.
pub(super) fn fits(root: &Value, schema: &Value, value: &Value, nulls: Nulls) -> bool {
    if let Some(any) = schema.as_bool() {
        return any;
    }
    let all = |schema: &Value| fits(root, schema, value, nulls);
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return all(target);
    }
    let alternatives = list(&schema["anyOf"]);
    let exclusive = list(&schema["oneOf"]);
    (alternatives.is_empty() || alternatives.iter().any(all))
        && (exclusive.is_empty() || exclusive.iter().filter(|it| all(it)).count() == 1)
        && list(&schema["allOf"]).iter().all(all)
        && has_type(&schema["type"], value)
        && schema.get("const").is_none_or(|constant| constant == value)
        && schema.get("enum").is_none_or(|constants| list(constants).contains(value))
        && in_bounds(schema, value)
        && parts_fit(root, schema, value, nulls)
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |of: &Value| match of.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type `{other}`"),
    };
    match types {
        Value::Null => true,
        Value::Array(types) => types.iter().any(is),
        one => is(one),
    }
}

fn in_bounds(schema: &Value, value: &Value) -> bool {
    let at_least =
        |keyword: &str, number: f64| schema[keyword].as_f64().is_none_or(|it| number >= it);
    let at_most =
        |keyword: &str, number: f64| schema[keyword].as_f64().is_none_or(|it| number <= it);
    let length = |length: usize| f64::from(u32::try_from(length).unwrap());
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            at_least("minimum", number) && at_most("maximum", number)
        }
        Value::String(text) => {
            let length = length(text.chars().count());
            at_least("minLength", length) && at_most("maxLength", length)
        }
        Value::Array(items) => {
            let length = length(items.len());
            at_least("minItems", length) && at_most("maxItems", length)
        }
        _ => true,
    }
}

fn parts_fit(root: &Value, schema: &Value, value: &Value, nulls: Nulls) -> bool {
    if let Some(items) = value.as_array() {
        let of = schema.get("items").unwrap_or(&Value::Bool(true));
        return items.iter().all(|item| fits(root, of, item, nulls));
    }
    let Some(entries) = value.as_object() else {
        return true;
    };
    let is_required = |name: &str| list(&schema["required"]).iter().any(|it| it == name);
    let fits_entry = |(name, value): (&String, &Value)| match schema["properties"].get(name) {
        Some(of) => {
            let is_absent = nulls == Nulls::Absent && value.is_null() && !is_required(name);
            is_absent || fits(root, of, value, nulls)
        }
        None => schema["additionalProperties"] != false,
    };
    let mut required = list(&schema["required"]).iter().filter_map(Value::as_str);
    required.all(|name| entries.contains_key(name)) && entries.iter().all(fits_entry)
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn object<'a>(
    schema: &'a Value,
    keyword: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema[keyword].as_object().into_iter().flatten()
}
