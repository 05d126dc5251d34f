//! The record reader against a model made of general parsers: both take the same texts and read the same from them.

#[path = "record_support/model.rs"]
mod model;

use asherah_core::record::{Envelope as Written, MAX_SAFE_INTEGER, escape, write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{model, ours};
use proptest::prelude::*;

/// A JSON value whose strings keep how they are written apart from what they say.
#[derive(Clone, Debug)]
enum Json {
    /// As it stands.
    Bare(String),
    Text(String),
    List(Vec<Json>),
    Members(Vec<(String, Json)>),
}

/// Noise in the rendering: white space and escapes that change nothing.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn space(&mut self, out: &mut String) {
        if self.below(6) == 0 {
            out.push([' ', '\t', '\n', '\r'][self.below(4) as usize]);
        }
    }

    fn string(&mut self, text: &str, out: &mut String) {
        out.push('"');
        let often = [1_000_000, 40, 3][self.below(3) as usize];
        for character in text.chars() {
            let must = matches!(character, '"' | '\\' | '\0'..='\u{1f}');
            if must || self.below(often) == 0 {
                match (character, self.below(2)) {
                    ('"' | '\\' | '/', 0) => {
                        out.push('\\');
                        out.push(character);
                    }
                    _ => {
                        for unit in character.encode_utf16(&mut [0; 2]) {
                            let hex = format!("\\u{unit:04x}");
                            out.push_str(&if self.below(2) == 0 {
                                hex
                            } else {
                                hex.to_uppercase().replace("\\U", "\\u")
                            });
                        }
                    }
                }
            } else {
                out.push(character);
            }
        }
        out.push('"');
    }

    fn value(&mut self, value: &Json, out: &mut String) {
        self.space(out);
        match value {
            Json::Bare(text) => out.push_str(text),
            Json::Text(text) => self.string(text, out),
            Json::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.value(item, out);
                }
                self.space(out);
                out.push(']');
            }
            Json::Members(members) => {
                out.push('{');
                for (at, (name, member)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    self.space(out);
                    self.string(name, out);
                    self.space(out);
                    out.push(':');
                    self.value(member, out);
                }
                self.space(out);
                out.push('}');
            }
        }
        self.space(out);
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f32>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        Just("-0".to_owned()),
        Just("1E+400".to_owned()),
    ];
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "\"\\ud800\""])
            .prop_map(|text| Json::Bare(text.to_owned())),
        number.prop_map(Json::Bare),
        any::<String>().prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::List),
            prop::collection::vec((name(), inner), 0..4).prop_map(Json::Members),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let known =
        ["Key", "Data", "Created", "KeyId", "ParentKeyMeta", "Revoked", "key", "Id", "Keyy", "Dat", ""];
    prop_oneof![
        3 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn unknown_name() -> impl Strategy<Value = String> {
    "[a-z_\u{e9}\"\\\\]{0,12}"
}

fn integer() -> impl Strategy<Value = Json> {
    prop_oneof![
        8 => (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).prop_map(|number| Json::Bare(number.to_string())),
        4 => (1_500_000_000..2_000_000_000_i64).prop_map(|number| Json::Bare(number.to_string())),
    ]
}

fn base64_of(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Json> {
    prop::collection::vec(any::<u8>(), len).prop_map(|bytes| Json::Text(STANDARD.encode(bytes)))
}

fn shuffled(members: Vec<(&'static str, Json)>, more: Vec<(String, Json)>) -> impl Strategy<Value = Json> {
    let named = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Just(named.chain(more).collect::<Vec<_>>()).prop_shuffle().prop_map(Json::Members)
}

fn more() -> impl Strategy<Value = Vec<(String, Json)>> {
    prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec((unknown_name(), any_json()), 0..3),
    ]
}

/// A well-formed record.
fn wellformed() -> impl Strategy<Value = Json> {
    let key_id = prop_oneof![2 => "_IK_[a-z]{1,20}_svc_prod", 1 => any::<String>()].prop_map(Json::Text);
    let meta = (key_id, integer(), more())
        .prop_flat_map(|(id, created, more)| shuffled(vec![("KeyId", id), ("Created", created)], more));
    let revoked = prop::option::of(prop::sample::select(vec!["null", "true", "false"]));
    let key = (prop::option::of(integer()), base64_of(60), meta, revoked, more()).prop_flat_map(
        |(created, wrapped, meta, revoked, more)| {
            let mut members = vec![("Key", wrapped), ("ParentKeyMeta", meta)];
            members.extend(created.map(|created| ("Created", created)));
            members.extend(revoked.map(|revoked| ("Revoked", Json::Bare(revoked.to_owned()))));
            shuffled(members, more)
        },
    );
    (key, base64_of(28..200), more())
        .prop_flat_map(|(key, data, more)| shuffled(vec![("Key", key), ("Data", data)], more))
}

/// A record with one value, somewhere, replaced by any other, or one member more.
fn damaged() -> impl Strategy<Value = Json> {
    (wellformed(), any_json(), name(), any::<u64>()).prop_map(|(mut record, other, name, seed)| {
        damage(&mut record, other, name, &mut Noise(seed));
        record
    })
}

fn damage(place: &mut Json, other: Json, name: String, noise: &mut Noise) {
    match (place, noise.below(3)) {
        (Json::Members(members), 0 | 1) if !members.is_empty() => {
            let at = noise.below(members.len() as u64) as usize;
            damage(&mut members[at].1, other, name, noise);
        }
        (Json::Members(members), _) if noise.below(2) == 0 => members.push((name, other)),
        (place, _) => *place = other,
    }
}

fn rendered(json: &Json, seed: u64) -> Vec<u8> {
    let mut out = String::new();
    Noise(seed).value(json, &mut out);
    out.into_bytes()
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(1_500), ..asked }
}

/// Where, what kind, any byte, a telling byte.
type Mutation = (prop::sample::Index, u8, u8, u8);

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let telling = prop::sample::select(br#""\{},:= 0/"#.to_vec());
    prop::collection::vec((any::<prop::sample::Index>(), 0..5_u8, any::<u8>(), telling), 1..4)
}

fn mutated(mut text: Vec<u8>, mutations: Vec<Mutation>) -> Vec<u8> {
    for (index, kind, byte, telling) in mutations {
        if text.is_empty() {
            break;
        }
        let at = index.index(text.len());
        match kind {
            0 => text[at] = byte,
            1 => text[at] = telling,
            2 => text.insert(at, telling),
            3 => text.truncate(at),
            _ => {
                text.remove(at);
            }
        }
    }
    text
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn wellformed_records_are_taken(record in wellformed(), seed: u64) {
        let text = rendered(&record, seed);
        let said = ours(&text);
        prop_assert!(said.is_some(), "{}", String::from_utf8_lossy(&text));
        prop_assert_eq!(said, model(&text));
    }

    #[test]
    fn damaged_records_are_judged_alike(record in damaged(), seed: u64) {
        let text = rendered(&record, seed);
        prop_assert_eq!(ours(&text), model(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn mutated_texts_are_judged_alike(record in wellformed(), seed: u64, mutations in mutations()) {
        let text = mutated(rendered(&record, seed), mutations);
        prop_assert_eq!(ours(&text), model(&text), "{}", String::from_utf8_lossy(&text));
    }

    /// The reader has a way of its own for the writer's form.
    #[test]
    fn mutated_canonical_texts_are_judged_alike(
        created in -1_000..MAX_SAFE_INTEGER * 2,
        key_created in -1_000..MAX_SAFE_INTEGER * 2,
        key_id: String,
        data in prop::collection::vec(any::<u8>(), 26..100),
        mutations in mutations(),
    ) {
        let mut text = Vec::new();
        let escaped_key_id = &escape(&key_id);
        write(&Written { created, wrapped: &[0xa5; 60], escaped_key_id, key_created }, &data, &mut text);
        prop_assert_eq!(ours(&text), model(&text));
        let text = mutated(text, mutations);
        prop_assert_eq!(ours(&text), model(&text), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn base64_is_judged_alike(text in "[A-Za-z0-9+/]{38,70}={0,3}", wrapped in "[A-Za-z0-9+/]{78,80}={0,2}") {
        let record = format!(
            r#"{{"Key":{{"Key":"{wrapped}","ParentKeyMeta":{{"KeyId":"i","Created":1}}}},"Data":"{text}"}}"#
        );
        prop_assert_eq!(ours(record.as_bytes()), model(record.as_bytes()), "{}", record);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(ours(&bytes), model(&bytes));
    }
}
