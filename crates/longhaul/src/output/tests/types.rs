//! Types of every form that a schema has.

mod schemas;
mod values;

use std::collections::{BTreeMap, HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Declares types that can be written, read and compared.
macro_rules! types {
    ($($(#[$attribute:meta])* $kind:ident $name:ident $body:tt)*) => {
        $(
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
            $(#[$attribute])*
            pub(super) $kind $name $body
        )*
    };
}

types! {
    struct Nothing {}

    /// A place.
    struct Place {
        /// In degrees.
        north: f64,
        note: Option<String>,
    }

    struct Scalars {
        a_bool: bool,
        b_char: char,
        c_u8: u8,
        d_i64: i64,
        e_f32: f32,
        f_unit: (),
        g_u32: Option<u32>,
    }

    struct Nested {
        /// Where it is.
        here: Place,
        other: Option<Place>,
        list: Vec<Option<Place>>,
        boxed: Box<[Place; 2]>,
    }

    enum Unit {
        A,
        B,
    }

    enum Told {
        /// The first.
        A,
        B,
    }

    enum External {
        Nothing,
        One(u8),
        Named { x: bool, y: Option<bool> },
        Other(Place),
    }

    #[serde(tag = "kind")]
    enum Internal {
        Nothing,
        Named { x: bool },
        Other(Place),
    }

    #[serde(tag = "kind", content = "is")]
    enum Adjacent {
        Nothing,
        One(u8),
        Named { x: bool },
    }

    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Named { x: bool },
    }

    struct Enums {
        unit: Unit,
        no_unit: Option<Unit>,
        told: Told,
        /// Or nobody.
        no_told: Option<Told>,
        external: External,
        internal: Internal,
        adjacent: Adjacent,
        untagged: Untagged,
    }

    struct Chain {
        value: u8,
        /// The rest.
        next: Option<Box<Chain>>,
    }

    enum Tree {
        Leaf,
        Fork {
            /// The one.
            left: Box<Tree>,
            right: Box<Tree>,
        },
    }

    struct Forest {
        /// All of them.
        tree: Tree,
        chain: Chain,
    }

    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Renamed {
        first_name: String,
        #[serde(rename = "the last")]
        last_name: Option<String>,
    }

    struct Flat {
        name: String,
        #[serde(flatten)]
        place: Place,
    }

    struct Defaults {
        #[serde(default)]
        number: u8,
        #[serde(default)]
        option: Option<u8>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        list: Vec<u8>,
        #[serde(skip)]
        skipped: u8,
    }

    struct Bounded {
        #[schemars(length(min = 1, max = 3), regex(pattern = "^é"))]
        text: String,
        #[schemars(range(min = -1, max = 3))]
        number: f64,
        #[schemars(length(max = 2), inner(length(min = 2)))]
        list: Vec<String>,
        /// Its title and examples go.
        #[schemars(title = "Note", example = 7, extend("x-note" = true))]
        #[deprecated]
        note: String,
    }

    struct Formats {
        four: std::net::Ipv4Addr,
        any: std::net::IpAddr,
        #[schemars(email)]
        mail: String,
        #[schemars(url)]
        link: String,
    }

    enum WithPair {
        Nothing,
        Pair(u8, u8),
    }

    struct FlatMap {
        name: String,
        #[serde(flatten)]
        rest: HashMap<String, Value>,
    }

    struct FlatEnum {
        name: String,
        #[serde(flatten)]
        rest: Internal,
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Newtype(Place);

#[derive(JsonSchema)]
pub(super) struct Holds<T> {
    #[allow(dead_code, reason = "only its schema is looked at")]
    it: T,
}

pub(super) type Pair = Holds<(u8, String)>;
pub(super) type Map = Holds<HashMap<String, u8>>;
pub(super) type NumberedMap = Holds<BTreeMap<u8, u8>>;
pub(super) type Set = Holds<HashSet<u8>>;
