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

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> SchemaId {
        SchemaId::Number(u32::try_from(number).expect("a small number"))
    }

    #[test]
    fn what_is_known_of_a_schema_is_said() {
        let mut known = SchemasById::new();
        known.learn(id(1), Some(Ok("schema")));
        known.learn(id(2), Some(Err("no record".to_owned())));
        known.learn(id(3), None);
        assert_eq!(known.get(id(1)).map(|schema| *schema), Ok("schema"));
        assert_eq!(known.get(id(2)).unwrap_err(), "schema 2 cannot be used: no record");
        assert_eq!(known.get(id(3)).unwrap_err(), "there is no schema 3");
        assert_eq!(known.get(id(4)).unwrap_err(), "schema 4 is not known here");
        assert!(known.has(id(3)) && !known.has(id(4)));
        assert_eq!(known.all().map(|schema| *schema).collect::<Vec<_>>(), ["schema"]);
        known.learn(id(3), Some(Ok("late")));
        assert_eq!(known.get(id(3)).map(|schema| *schema), Ok("late"), "it may come to be");
    }

    #[test]
    fn ids_that_name_nothing_are_forgotten_and_schemas_are_not() {
        let mut known = SchemasById::new();
        known.learn(id(0), Some(Ok(())));
        known.learn(id(1), Some(Err("odd".to_owned())));
        (2..MISSING_MAX + 2).for_each(|number| known.learn(id(number), None));
        assert!(known.has(id(2)), "so many are remembered");
        known.learn(id(MISSING_MAX + 2), None);
        assert!(!known.has(id(2)) && known.has(id(MISSING_MAX + 2)) && known.has(id(0)) && known.has(id(1)));
    }
}
