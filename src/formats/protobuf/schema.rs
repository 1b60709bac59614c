//! Schemas of Protobuf as far as they say how values are read: messages and their fields, with the names of types
//! looked up as protoc does.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::descriptor;

/// The place of a message among those of its schema.
pub(super) type MessageIndex = usize;

/// Numbers of an enum to names.
pub(super) type EnumNames = Arc<BTreeMap<i32, String>>;

/// How a whole number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Plain,
    Zigzag,
    Fixed,
}

/// How a value is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldType {
    Bool,
    Int(Code),
    Long(Code),
    Unsigned(Code),
    UnsignedLong(Code),
    Float,
    Double,
    Text,
    Bytes,
    /// Bytes that stand for a text of hexadecimal digits.
    Hex,
    Enum(EnumNames),
    Message(MessageIndex),
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `google.protobuf.Duration`.
    Duration,
    /// `google.protobuf.Struct`, `Value` or `ListValue`.
    Json(Json),
    /// A scalar in a message of its own, as `google.protobuf.DoubleValue`.
    Wrapped(Box<FieldType>),
    /// A type that is defined nowhere, or a group.
    Unread,
}

/// What a value of JSON is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    Object,
    Value,
    List,
}

/// What it means that a field is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is zero, empty or false.
    Implicit,
    /// It is missing.
    Explicit,
    /// The message is damaged.
    Required,
    /// It is a list, which is empty.
    Repeated,
}

/// A field of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) kind: FieldType,
    pub(super) presence: Presence,
    /// What it is where it is not there, as it is written in the schema.
    pub(super) default: Option<String>,
    /// Fields of one number exclude each other.
    pub(super) oneof: Option<i32>,
}

/// A message.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) name: String,
    /// By their numbers.
    pub(super) fields: Vec<Field>,
    /// The messages that are defined in it, without the entries of its maps.
    nested: Vec<MessageIndex>,
    /// Whether it is an entry of a map.
    pub(super) is_entry: bool,
}

/// A schema.
#[derive(Debug, Clone)]
pub(super) struct ProtobufSchema {
    messages: Vec<Message>,
    /// Those of the file that was asked for.
    roots: Vec<MessageIndex>,
}

impl ProtobufSchema {
    /// Reads a schema; `texts` are those that it refers to, in any order, and then itself.
    ///
    /// # Errors
    /// In words, when a text is no schema.
    pub(super) fn read(texts: &[String]) -> Result<Self, String> {
        let mut files = Vec::new();
        for text in texts {
            files.extend(descriptor::files(text)?);
        }
        let mut linker = Linker { types: well_known(), messages: Vec::new(), around: Vec::new() };
        let mut roots = Vec::new();
        for file in &files {
            roots = linker.define(file);
        }
        let around = std::mem::take(&mut linker.around);
        for (at, (proto, is_proto3)) in around.into_iter().enumerate() {
            linker.messages[at].fields = linker.fields(at, proto, is_proto3)?;
        }
        Ok(Self { messages: linker.messages, roots })
    }

    pub(super) fn message(&self, at: MessageIndex) -> &Message {
        &self.messages[at]
    }

    /// The message of a name, with or without its package.
    pub(super) fn named(&self, name: &str) -> Option<MessageIndex> {
        let name = name.trim_start_matches('.');
        let whole = self.messages.iter().position(|message| message.name == name);
        let mut own = self.roots.iter().copied();
        whole.or_else(|| own.find(|at| self.messages[*at].name.rsplit('.').next() == Some(name)))
    }

    /// The only message of the file that was asked for.
    pub(super) fn only(&self) -> Option<MessageIndex> {
        if let [only] = self.roots[..] { Some(only) } else { None }
    }

    /// The message at some indexes: among those of the file, then among those in it.
    pub(super) fn indexed(&self, indexes: impl IntoIterator<Item = usize>) -> Option<MessageIndex> {
        let mut found = None;
        for index in indexes {
            let among = found.map_or(&self.roots, |at: MessageIndex| &self.messages[at].nested);
            found = Some(*among.get(index)?);
        }
        found
    }
}

/// Types that every schema knows, by their whole names.
fn well_known() -> BTreeMap<String, FieldType> {
    use Code::Plain;
    let wrapped = [
        ("DoubleValue", FieldType::Double),
        ("FloatValue", FieldType::Float),
        ("Int64Value", FieldType::Long(Plain)),
        ("UInt64Value", FieldType::UnsignedLong(Plain)),
        ("Int32Value", FieldType::Int(Plain)),
        ("UInt32Value", FieldType::Unsigned(Plain)),
        ("BoolValue", FieldType::Bool),
        ("StringValue", FieldType::Text),
        ("BytesValue", FieldType::Bytes),
    ];
    let wrapped = wrapped.map(|(name, kind)| (name, FieldType::Wrapped(Box::new(kind))));
    let others = [
        ("Timestamp", FieldType::Timestamp),
        ("Duration", FieldType::Duration),
        ("Struct", FieldType::Json(Json::Object)),
        ("Value", FieldType::Json(Json::Value)),
        ("ListValue", FieldType::Json(Json::List)),
    ];
    let own = [("haldane.Hex".to_owned(), FieldType::Hex)];
    let all = wrapped.into_iter().chain(others).map(|(name, kind)| (format!("google.protobuf.{name}"), kind));
    all.chain(own).collect()
}

/// Finds out what the names of types mean.
struct Linker<'a> {
    types: BTreeMap<String, FieldType>,
    messages: Vec<Message>,
    /// What each message is made of, and whether its file is of proto3.
    around: Vec<(&'a DescriptorProto, bool)>,
}

impl<'a> Linker<'a> {
    /// Takes the definitions of a file; returns its messages.
    fn define(&mut self, file: &'a FileDescriptorProto) -> Vec<MessageIndex> {
        let is_proto3 = file.syntax() == "proto3";
        file.enum_type.iter().for_each(|kind| self.define_enum(file.package(), kind));
        file.message_type.iter().map(|message| self.define_message(file.package(), message, is_proto3)).collect()
    }

    fn define_message(&mut self, space: &str, proto: &'a DescriptorProto, is_proto3: bool) -> MessageIndex {
        let (name, at) = (within(space, proto.name()), self.messages.len());
        let is_entry = proto.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry);
        self.messages.push(Message { name: name.clone(), fields: Vec::new(), nested: Vec::new(), is_entry });
        self.around.push((proto, is_proto3));
        self.types.entry(name.clone()).or_insert(FieldType::Message(at));
        proto.enum_type.iter().for_each(|kind| self.define_enum(&name, kind));
        let nested: Vec<MessageIndex> =
            proto.nested_type.iter().map(|nested| self.define_message(&name, nested, is_proto3)).collect();
        let is_own = |at: &MessageIndex| !self.messages[*at].is_entry;
        self.messages[at].nested = nested.into_iter().filter(is_own).collect();
        at
    }

    fn define_enum(&mut self, space: &str, proto: &EnumDescriptorProto) {
        let mut names = BTreeMap::new();
        for value in &proto.value {
            names.entry(value.number()).or_insert_with(|| value.name().to_owned());
        }
        self.types.entry(within(space, proto.name())).or_insert(FieldType::Enum(Arc::new(names)));
    }

    fn fields(&self, at: MessageIndex, proto: &DescriptorProto, is_proto3: bool) -> Result<Vec<Field>, String> {
        let field = |field: &FieldDescriptorProto| {
            let number = u32::try_from(field.number()).ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| format!("field `{}` has no number", field.name()))?;
            let kind = self.kind(&self.messages[at].name, field);
            let is_whole = matches!(kind, FieldType::Message(_) | FieldType::Wrapped(_) | FieldType::Timestamp)
                || matches!(kind, FieldType::Duration | FieldType::Json(_) | FieldType::Unread);
            let presence = match field.label() {
                Label::Repeated => Presence::Repeated,
                Label::Required => Presence::Required,
                Label::Optional if is_whole || field.oneof_index.is_some() => Presence::Explicit,
                Label::Optional if is_proto3 || self.messages[at].is_entry => Presence::Implicit,
                Label::Optional => Presence::Explicit,
            };
            let (name, default) = (field.name().to_owned(), field.default_value.clone());
            Ok(Field { name, number, kind, presence, default, oneof: field.oneof_index })
        };
        let mut fields = proto.field.iter().map(field).collect::<Result<Vec<_>, String>>()?;
        fields.sort_by_key(|field| field.number);
        match fields.windows(2).find(|pair| pair[0].number == pair[1].number) {
            Some(pair) => Err(format!("fields `{}` and `{}` have one number", pair[0].name, pair[1].name)),
            None => Ok(fields),
        }
    }

    fn kind(&self, space: &str, field: &FieldDescriptorProto) -> FieldType {
        // Parsers of texts do not know whether a name is that of a message or of an enum.
        match field.r#type.and_then(|kind| Type::try_from(kind).ok()) {
            None | Some(Type::Message | Type::Enum) => self.find(space, field.type_name()).unwrap_or(FieldType::Unread),
            Some(Type::Group) => FieldType::Unread,
            Some(Type::Bool) => FieldType::Bool,
            Some(Type::Int32) => FieldType::Int(Code::Plain),
            Some(Type::Sint32) => FieldType::Int(Code::Zigzag),
            Some(Type::Sfixed32) => FieldType::Int(Code::Fixed),
            Some(Type::Int64) => FieldType::Long(Code::Plain),
            Some(Type::Sint64) => FieldType::Long(Code::Zigzag),
            Some(Type::Sfixed64) => FieldType::Long(Code::Fixed),
            Some(Type::Uint32) => FieldType::Unsigned(Code::Plain),
            Some(Type::Fixed32) => FieldType::Unsigned(Code::Fixed),
            Some(Type::Uint64) => FieldType::UnsignedLong(Code::Plain),
            Some(Type::Fixed64) => FieldType::UnsignedLong(Code::Fixed),
            Some(Type::Float) => FieldType::Float,
            Some(Type::Double) => FieldType::Double,
            Some(Type::String) => FieldType::Text,
            Some(Type::Bytes) => FieldType::Bytes,
        }
    }

    /// The type of a name, looked for from the inside out.
    fn find(&self, mut space: &str, name: &str) -> Option<FieldType> {
        if let Some(name) = name.strip_prefix('.') {
            return self.types.get(name).cloned();
        }
        loop {
            if let Some(kind) = self.types.get(&within(space, name)) {
                return Some(kind.clone());
            }
            if space.is_empty() {
                return None;
            }
            space = space.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }
}

/// A name with its space.
fn within(space: &str, name: &str) -> String {
    if space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> ProtobufSchema {
        ProtobufSchema::read(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).expect("a schema")
    }

    fn field<'a>(schema: &'a ProtobufSchema, message: &str, name: &str) -> &'a Field {
        let at = schema.named(message).expect("a message");
        schema.message(at).fields.iter().find(|field| field.name == name).expect("a field")
    }

    #[test]
    fn names_of_types_are_looked_for_from_the_inside_out() {
        let other = "syntax = \"proto3\"; package shop.money; message Amount { double value = 1; }";
        let own = "syntax = \"proto3\"; package shop.orders;
            import \"google/protobuf/timestamp.proto\"; import \"money.proto\";
            enum Amount { NONE = 0; }
            message Order {
                message Amount { int32 n = 1; }
                Amount own = 1; money.Amount other = 2; .shop.orders.Amount outer = 3;
                google.protobuf.Timestamp at = 4; some.Where nowhere = 5;
                map<string, money.Amount> by_name = 6; }";
        let schema = read(&[other, own]);
        let whole = |name: &str| FieldType::Message(schema.named(name).expect("a message"));
        for (name, kind) in [
            ("own", whole("shop.orders.Order.Amount")),
            ("other", whole("shop.money.Amount")),
            ("outer", FieldType::Enum(Arc::new([(0, "NONE".to_owned())].into()))),
            ("at", FieldType::Timestamp),
            ("nowhere", FieldType::Unread),
            ("by_name", whole("shop.orders.Order.ByNameEntry")),
        ] {
            assert_eq!(field(&schema, "Order", name).kind, kind, "{name}");
        }
        assert_eq!(field(&schema, "shop.orders.Order.ByNameEntry", "value").kind, whole("shop.money.Amount"));
        assert_eq!(schema.only(), schema.named("Order"));
    }

    #[test]
    fn what_is_not_there_means_what_the_version_of_the_language_says() {
        let newer = read(&["syntax = \"proto3\"; message M {
            int32 plain = 1; optional int32 may = 2; oneof one { int32 a = 3; string b = 4; } M inner = 5;
            repeated int32 list = 6; map<int32, M> by = 7; }"]);
        for (name, presence) in [
            ("plain", Presence::Implicit),
            ("may", Presence::Explicit),
            ("a", Presence::Explicit),
            ("inner", Presence::Explicit),
            ("list", Presence::Repeated),
            ("by", Presence::Repeated),
        ] {
            assert_eq!(field(&newer, "M", name).presence, presence, "{name}");
        }
        let older = read(&["message M { required int32 must = 1; optional int32 may = 2 [default = 7]; }"]);
        assert_eq!(field(&older, "M", "must").presence, Presence::Required);
        let may = field(&older, "M", "may");
        assert_eq!((may.presence, may.default.as_deref()), (Presence::Explicit, Some("7")));
    }

    #[test]
    fn indexes_count_messages_without_the_entries_of_maps() {
        let schema =
            read(&["message A {} message B { map<string, A> m = 1; message C {} message D { message E {} } }"]);
        let name = |indexes: &[usize]| Some(schema.message(schema.indexed(indexes.iter().copied())?).name.as_str());
        assert_eq!(name(&[0]), Some("A"));
        assert_eq!(name(&[1, 0]), Some("B.C"));
        assert_eq!(name(&[1, 1, 0]), Some("B.D.E"));
        assert_eq!((name(&[2]), name(&[0, 0]), name(&[])), (None, None, None));
        assert_eq!((schema.only(), schema.named("Z")), (None, None));
    }
}
