//! [`Named`]: says in which field of which layer an error is.
//!
//! serde's own errors give the value and what was expected, but of a value's place only what the
//! format knows: a line and a column, at best.

use std::fmt::{self, Display};

use ::serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use ::serde::forward_to_deserialize_any;

/// A deserializer, visitor or map of a struct whose fields are known by this name.
pub(super) struct Named<T> {
    name: &'static str,
    field: String,
    inner: T,
}

impl<T> Named<T> {
    pub(super) fn new(name: &'static str, inner: T) -> Self {
        Self { name, field: String::new(), inner }
    }

    /// `timeout.limit: what is wrong with it`, as far as there are names.
    fn in_field<E: Error>(&self, error: impl Display) -> E {
        match (self.name, self.field.as_str()) {
            ("", "") => E::custom(error),
            ("", name) | (name, "") => E::custom(format_args!("{name}: {error}")),
            (name, field) => E::custom(format_args!("{name}.{field}: {error}")),
        }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Named<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(name, fields, Named::new(self.name, visitor))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Named<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Named::new(self.name, map))
    }

    // Formats that write no field names.
    fn visit_seq<A: SeqAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(fields)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Named<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(field) = self.inner.next_key::<String>()? else { return Ok(None) };
        self.field.clear();
        let key = seed.deserialize(field.as_str().into_deserializer());
        let key = key.map_err(|error: A::Error| self.in_field(error))?;
        self.field = field;
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.inner.next_value_seed(seed).map_err(|error| self.in_field(error))
    }
}
