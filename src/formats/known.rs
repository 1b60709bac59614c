//! What is known of the schemas that records name.

use std::collections::BTreeMap;

use crate::schema::SchemaId;

/// So many ids without a schema are remembered: damaged records may name any.
const MISSING_MAX: usize = 1_024;

/// Schemas by their ids, with what waits of their records.
#[derive(Debug)]
pub(crate) struct SchemasById<T>(BTreeMap<SchemaId, SchemaState<T>>);

/// What is known of an id.
#[derive(Debug)]
enum SchemaState<T> {
    Here(Box<T>),
    /// Its schema cannot be read; why.
    Unreadable(String),
    /// There is no such schema.
    Missing,
}

impl<T> SchemasById<T> {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether it is known what an id is, or that it is nothing.
    pub(crate) fn has(&self, id: SchemaId) -> bool {
        self.0.contains_key(&id)
    }

    /// Learns what an id is; nothing, where there is no such schema.
    pub(crate) fn learn(&mut self, id: SchemaId, read: Option<Result<T, String>>) {
        let state = match read {
            Some(Ok(schema)) => SchemaState::Here(Box::new(schema)),
            Some(Err(why)) => SchemaState::Unreadable(why),
            None => {
                let is_missing = |state: &SchemaState<T>| matches!(state, SchemaState::Missing);
                if self.0.values().filter(|state| is_missing(state)).count() >= MISSING_MAX {
                    self.0.retain(|_, state| !is_missing(state));
                }
                SchemaState::Missing
            }
        };
        self.0.insert(id, state);
    }

    /// The schema of an id.
    ///
    /// # Errors
    /// In words, when there is none that can be used.
    pub(crate) fn get(&mut self, id: SchemaId) -> Result<&mut T, String> {
        match self.0.get_mut(&id) {
            Some(SchemaState::Here(schema)) => Ok(schema),
            Some(SchemaState::Unreadable(why)) => Err(format!("schema {id} cannot be used: {why}")),
            Some(SchemaState::Missing) => Err(format!("there is no schema {id}")),
            None => Err(format!("schema {id} is not known here")),
        }
    }

    /// All that can be used.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.values_mut().filter_map(|state| match state {
            SchemaState::Here(schema) => Some(&mut **schema),
            _ => None,
        })
    }
}
