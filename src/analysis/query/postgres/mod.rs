//! SQL as clients of `PostgreSQL` speak it: statements about the session itself, a catalog to look around in, and
//! parameters.

mod statement;
mod visit;

pub use statement::{SERVER_VERSION, Statement};
pub use visit::{Prepared, Visit};
