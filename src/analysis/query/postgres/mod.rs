//! SQL as clients of `PostgreSQL` speak it: statements about the session itself, a catalog to look around in, and parameters.

mod statement;
mod visit;

pub(crate) use statement::{SERVER_VERSION, Statement};
pub(crate) use visit::{Prepared, Visit};
